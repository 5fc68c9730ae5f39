// wev.hpp: everything but the simulator and the libraries of their own.
#pragma once

#include "wev/io.hpp"
#include "wev/loop.hpp"
#include "wev/task.hpp"
#include "wev/version.hpp"
