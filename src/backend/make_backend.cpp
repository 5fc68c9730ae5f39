// Which of the listed backends a program gets.
#include <cstdlib>
#include <string_view>

#include "backend/list.hpp"

namespace wev {

namespace {

// What the environment asks for.
Expected<BackendKind> preferred_kind() {
  const char* name = std::getenv("WEV_BACKEND");
  if (name == nullptr || *name == '\0') return BackendKind::best;
  for (const ListedBackend& listed : listed_backends()) {
    if (std::string_view(name) == listed.name) return listed.kind;
  }
  return std::unexpected(std::errc::invalid_argument);
}

// The best that works; if none does, why the last one does not.
MadeBackend make_best(const BackendOptions& options) {
  MadeBackend made = std::unexpected(std::errc::operation_not_supported);
  for (const ListedBackend& listed : listed_backends()) {
    made = listed.make(options);
    if (made) return made;
  }
  return made;
}

}  // namespace

MadeBackend make_backend(const BackendOptions& options) {
  Expected<BackendKind> kind = options.kind;
  if (kind == BackendKind::best) kind = preferred_kind();
  if (!kind) return std::unexpected(kind.error());
  if (*kind == BackendKind::best) return make_best(options);
  for (const ListedBackend& listed : listed_backends()) {
    if (listed.kind == *kind) return listed.make(options);
  }
  return std::unexpected(std::errc::operation_not_supported);
}

}  // namespace wev
