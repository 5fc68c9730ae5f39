// loop.hpp: the loop and what can be asked of it; the door to the layer loop/.
//
// Programs that share a ThreadPool between loops, natively, include wev/backend/thread_pool.hpp.
#pragma once

#include "wev/backend/backends.hpp"
#include "wev/base/features.hpp"
#include "wev/loop/async.hpp"
#include "wev/loop/lent.hpp"
#include "wev/loop/loop.hpp"
#include "wev/loop/operation.hpp"
#include "wev/loop/request.hpp"
