// Which of the listed backends a program gets.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "backend/list.hpp"

namespace wev {

namespace {

// What the environment asks for; nullptr: nothing.
const char* preferred_name() {
  const char* name = std::getenv("WEV_BACKEND");
  return name == nullptr || *name == '\0' ? nullptr : name;
}

Expected<BackendKind> preferred_kind() {
  const char* name = preferred_name();
  if (name == nullptr) return BackendKind::best;
  for (const ListedBackend& listed : listed_backends()) {
    if (std::string_view(name) == listed.name) return listed.kind;
  }
  return std::unexpected(Errc::no_such_backend);
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

const char* why_no_backend(Error error) noexcept {
  static char words[200];
  const char* name = preferred_name();
  std::snprintf(words, sizeof words, "Loop(): no backend works here, WEV_BACKEND is %.40s: %s",
                name != nullptr ? name : "not set", error.message().c_str());
  return words;
}

}  // namespace wev
