// task.hpp: coroutines on a loop; the door to the layer task/.
#pragma once

#include "wev/loop.hpp"
#include "wev/task/channel.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/run_on.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/sync.hpp"
#include "wev/task/task.hpp"
#include "wev/task/task_group.hpp"
#include "wev/task/this_task.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"
