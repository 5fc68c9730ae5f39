// moods.hpp: what the stand-in of kqueue does at random, and which system it is.
#pragma once

#include <cstdint>

/// For kqueues that are made from now on. 0: none, everything comes as it should.
/// Else the seed picks the ways in which systems differ, once for all calls, and
/// call by call the liberties that the manual pages leave: events that are out of
/// order, stale or fewer than there are, timeouts that end early, EINTR.
extern "C" void wev_kqueue_set_moods(std::uint64_t seed);
