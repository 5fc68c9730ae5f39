#include "sys/wasi_error.hpp"

namespace wev::sys::wasi {
namespace {

using enum std::errc;

// By errno, from 1, in the order of the witx. Those that std::errc lacks are what a program
// would treat alike, as on POSIX systems. std::errc{}: there is none, it stays a native code.
constexpr std::errc errors[] = {
    argument_list_too_long,
    permission_denied,
    address_in_use,
    address_not_available,
    address_family_not_supported,
    resource_unavailable_try_again,
    connection_already_in_progress,
    bad_file_descriptor,
    bad_message,
    device_or_resource_busy,
    operation_canceled,
    no_child_process,
    connection_aborted,
    connection_refused,
    connection_reset,
    resource_deadlock_would_occur,
    destination_address_required,
    argument_out_of_domain,
    no_space_on_device,  // dquot
    file_exists,
    bad_address,
    file_too_large,
    host_unreachable,
    identifier_removed,
    illegal_byte_sequence,
    operation_in_progress,
    interrupted,
    invalid_argument,
    io_error,
    already_connected,
    is_a_directory,
    too_many_symbolic_link_levels,
    too_many_files_open,
    too_many_links,
    message_size,
    std::errc{},  // multihop
    filename_too_long,
    network_down,
    network_reset,
    network_unreachable,
    too_many_files_open_in_system,
    no_buffer_space,
    no_such_device,
    no_such_file_or_directory,
    executable_format_error,
    no_lock_available,
    no_link,
    not_enough_memory,
    no_message,
    no_protocol_option,
    no_space_on_device,
    function_not_supported,
    not_connected,
    not_a_directory,
    directory_not_empty,
    state_not_recoverable,
    not_a_socket,
    not_supported,
    inappropriate_io_control_operation,
    no_such_device_or_address,
    value_too_large,
    owner_dead,
    operation_not_permitted,
    broken_pipe,
    protocol_error,
    protocol_not_supported,
    wrong_protocol_type,
    result_out_of_range,
    read_only_file_system,
    invalid_seek,
    no_such_process,
    io_error,  // stale
    timed_out,
    text_file_busy,
    cross_device_link,
    operation_not_permitted,  // notcapable
};
static_assert(sizeof errors / sizeof errors[0] == errno_notcapable);

}  // namespace

Error to_error(Errno code) noexcept {
  if (code == 0 || code > errno_notcapable || errors[code - 1] == std::errc{}) {
    return Error::native(code);
  }
  return errors[code - 1];
}

}  // namespace wev::sys::wasi
