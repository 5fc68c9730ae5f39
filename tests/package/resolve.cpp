#include <wev/io/resolve.hpp>

// Only that it is found and can be linked with.
bool uses_resolver(wev::Loop& loop) { return wev::Resolver(loop).open().has_value(); }
