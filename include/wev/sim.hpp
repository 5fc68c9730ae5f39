// sim.hpp: the simulator; the door to the layer sim/.
#pragma once

#include "wev/loop.hpp"
#include "wev/sim/sim.hpp"
