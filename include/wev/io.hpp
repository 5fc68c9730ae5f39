// io.hpp: all handles; the door to the layer io/.
//
// Names to addresses are a library of their own: wev/io/resolve.hpp.
#pragma once

#include "wev/base/address.hpp"
#include "wev/io/connect.hpp"
#include "wev/io/file.hpp"
#include "wev/io/pipe.hpp"
#include "wev/io/process.hpp"
#include "wev/io/signal.hpp"
#include "wev/io/stream.hpp"
#include "wev/io/tcp.hpp"
#include "wev/io/timer.hpp"
#include "wev/io/udp.hpp"
#include "wev/io/unix.hpp"
#include "wev/io/watcher.hpp"
#include "wev/io/write_queue.hpp"
#include "wev/loop.hpp"
