#include "peer/endpoint.h"

#include <charconv>
#include <cstdint>

#include <libtorrent/address.hpp>
#include <libtorrent/error_code.hpp>

namespace lanward::peer {

Result<lt::tcp::endpoint> parse_endpoint(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::invalid_argument,
                "'" + std::string(text) +
                    "' is not an address and port: write 192.0.2.1:6881 or [2001:db8::1]:6881");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) return bad();
  lt::error_code wrong;
  const lt::address address = lt::make_address(std::string(host), wrong);
  if (wrong || address.is_v6() != bracketed) return bad();
  return lt::tcp::endpoint{address, port};
}

std::string to_string(const lt::tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

bool lacks_link(const lt::tcp::endpoint& endpoint) {
  if (!endpoint.address().is_v6()) return false;
  const lt::address_v6 address = endpoint.address().to_v6();
  return address.is_link_local() && address.scope_id() == 0;
}

lt::tcp::endpoint with_link(const lt::tcp::endpoint& endpoint, std::uint32_t interface) {
  if (!endpoint.address().is_v6()) return endpoint;
  lt::address_v6 address = endpoint.address().to_v6();
  address.scope_id(interface);
  return {address, endpoint.port()};
}

lt::tcp::endpoint without_link(const lt::tcp::endpoint& endpoint) { return with_link(endpoint, 0); }

lt::tcp::endpoint stand_in(std::uint32_t number, std::uint16_t port) {
  lt::address_v6::bytes_type bytes{1};
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return {lt::address_v6(bytes), port};
}

std::optional<std::uint32_t> stand_in_number(const lt::tcp::endpoint& endpoint) {
  if (!endpoint.address().is_v6()) return std::nullopt;
  const auto bytes = endpoint.address().to_v6().to_bytes();
  std::uint32_t number = 0;
  for (std::size_t i = 12; i < bytes.size(); ++i) number = number << 8U | bytes[i];
  if (stand_in(number, endpoint.port()).address() != endpoint.address()) return std::nullopt;
  return number;
}

core::Endpoint to_core(const lt::tcp::endpoint& endpoint) {
  const lt::address& address = endpoint.address();
  const lt::address_v6 mapped = address.is_v6() ? address.to_v6()
                                                : boost::asio::ip::make_address_v6(
                                                      boost::asio::ip::v4_mapped, address.to_v4());
  return {mapped.to_bytes(), endpoint.port()};
}

lt::tcp::endpoint from_core(const core::Endpoint& endpoint) {
  const lt::address_v6 address(endpoint.address);
  if (!address.is_v4_mapped()) return {address, endpoint.port};
  return {boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address), endpoint.port};
}

}  // namespace lanward::peer
