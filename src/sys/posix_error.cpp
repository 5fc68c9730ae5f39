// Error numbers of POSIX systems.
#include <array>
#include <cerrno>

#include "sys/posix.hpp"

namespace wev::sys {

namespace {

// By the system's own numbers. std::errc{}: there is none.
constexpr auto known_errors = [] {
  using enum std::errc;
  constexpr std::errc all[] = {address_family_not_supported,
                               address_in_use,
                               address_not_available,
                               already_connected,
                               argument_list_too_long,
                               argument_out_of_domain,
                               bad_address,
                               bad_file_descriptor,
                               bad_message,
                               broken_pipe,
                               connection_aborted,
                               connection_already_in_progress,
                               connection_refused,
                               connection_reset,
                               cross_device_link,
                               destination_address_required,
                               device_or_resource_busy,
                               directory_not_empty,
                               executable_format_error,
                               file_exists,
                               file_too_large,
                               filename_too_long,
                               function_not_supported,
                               host_unreachable,
                               identifier_removed,
                               illegal_byte_sequence,
                               inappropriate_io_control_operation,
                               interrupted,
                               invalid_argument,
                               invalid_seek,
                               io_error,
                               is_a_directory,
                               message_size,
                               network_down,
                               network_reset,
                               network_unreachable,
                               no_buffer_space,
                               no_child_process,
                               no_link,
                               no_lock_available,
                               no_message,
                               no_protocol_option,
                               no_space_on_device,
                               no_such_device,
                               no_such_device_or_address,
                               no_such_file_or_directory,
                               no_such_process,
                               not_a_directory,
                               not_a_socket,
                               not_connected,
                               not_enough_memory,
                               not_supported,
                               operation_canceled,
                               operation_in_progress,
                               operation_not_permitted,
                               operation_not_supported,
                               operation_would_block,
                               owner_dead,
                               permission_denied,
                               protocol_error,
                               protocol_not_supported,
                               read_only_file_system,
                               resource_deadlock_would_occur,
                               resource_unavailable_try_again,
                               result_out_of_range,
                               state_not_recoverable,
                               text_file_busy,
                               timed_out,
                               too_many_files_open,
                               too_many_files_open_in_system,
                               too_many_links,
                               too_many_symbolic_link_levels,
                               value_too_large,
                               wrong_protocol_type};
  std::array<std::errc, 256> known{};
  for (const std::errc error : all) known[static_cast<std::size_t>(error)] = error;
  // Those that std::errc lacks are what a program would treat alike, as on WASI.
  known[EDQUOT] = no_space_on_device;
  known[ESTALE] = io_error;
  known[ESHUTDOWN] = broken_pipe;
  known[EHOSTDOWN] = host_unreachable;
  known[EPFNOSUPPORT] = address_family_not_supported;
#if defined(ENONET)
  known[ENONET] = network_unreachable;
#endif
#if defined(EREMOTEIO)
  known[EREMOTEIO] = io_error;
#endif
  return known;
}();

}  // namespace

Error to_error(int code) noexcept {
  const auto i = static_cast<std::size_t>(code);
  if (i < known_errors.size() && known_errors[i] != std::errc{}) return known_errors[i];
  return Error::native(static_cast<std::uint16_t>(code));
}

Error last_error() noexcept { return to_error(errno); }

Result to_result(ssize_t returned) noexcept {
  if (returned < 0) return std::unexpected(last_error());
  return static_cast<std::size_t>(returned);
}

}  // namespace wev::sys
