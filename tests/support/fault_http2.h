// One HTTP/2 connection of a FaultOrigin.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "tests/support/fault_origin.h"

namespace lanward::test {

class FaultHttp2 {
 public:
  FaultHttp2(FaultOrigin& origin, FaultStream& stream, int number);

  // Until the connection ends.
  void serve();

 private:
  struct Exchange {
    FaultRequest request;
    FaultReply reply;
    std::size_t sent = 0;
    bool held = false;
    bool ended = false;  // `then` has been carried out
  };

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t, void* self);
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* self);
  static ssize_t read_body(nghttp2_session*, std::int32_t id, std::uint8_t* to, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source*, void* self);
  static int on_sent(nghttp2_session*, const nghttp2_frame* frame, void* self);

  // False: the connection has ended, or is to end.
  [[nodiscard]] bool flush();
  [[nodiscard]] bool wait();
  void respond(std::int32_t id);
  // What comes after the bytes that were to be sent.
  void carry_out(std::int32_t id, Exchange& exchange);

  FaultOrigin& origin_;
  FaultStream& stream_;
  const int number_;
  std::unique_ptr<nghttp2_session, decltype(&nghttp2_session_del)> session_;
  std::map<std::int32_t, Exchange> exchanges_;
  std::int32_t last_stream_ = 0;
  bool cut_ = false;  // once all is flushed
};

}  // namespace lanward::test
