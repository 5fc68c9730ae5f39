// coroutines.hpp: all there is for tasks, in one include.
//
// Handles have headers of their own: tcp.hpp, file.hpp, ...
#pragma once

#include "wev/channel.hpp"
#include "wev/ok.hpp"
#include "wev/run.hpp"
#include "wev/run_on.hpp"
#include "wev/sleep.hpp"
#include "wev/sync.hpp"
#include "wev/task.hpp"
#include "wev/task_group.hpp"
#include "wev/this_task.hpp"
#include "wev/timeout.hpp"
#include "wev/when.hpp"
