// loop.hpp: the loop and what can be asked of it; the door to the layer loop/.
#pragma once

#include "wev/backend/backends.hpp"
#include "wev/backend/thread_pool.hpp"
#include "wev/base/features.hpp"
#include "wev/loop/async.hpp"
#include "wev/loop/loop.hpp"
#include "wev/loop/operation.hpp"
#include "wev/loop/request.hpp"
