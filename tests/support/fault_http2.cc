#include "tests/support/fault_http2.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace lanward::test {
namespace {

constexpr std::size_t kReadStep = 16 * 1024;
// As large as clients allow without asking: one flush never keeps more than this.
constexpr std::size_t kFrameBytes = 16 * 1024;
constexpr std::uint32_t kStreamsMax = 100;

using Callbacks =
    std::unique_ptr<nghttp2_session_callbacks, decltype(&nghttp2_session_callbacks_del)>;

[[nodiscard]] std::uint8_t* bytes_of(const std::string& text) {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

[[nodiscard]] nghttp2_nv field(const std::string& name, const std::string& value) {
  return {bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

[[nodiscard]] std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

FaultHttp2::FaultHttp2(FaultOrigin& origin, FaultStream& stream, int number)
    : origin_(origin), stream_(stream), number_(number), session_(nullptr, nghttp2_session_del) {
  nghttp2_session_callbacks* raw = nullptr;
  nghttp2_session_callbacks_new(&raw);
  const Callbacks callbacks{raw, nghttp2_session_callbacks_del};
  nghttp2_session_callbacks_set_on_header_callback(raw, &FaultHttp2::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(raw, &FaultHttp2::on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(raw, &FaultHttp2::on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(raw, &FaultHttp2::on_sent);
  nghttp2_session* session = nullptr;
  nghttp2_session_server_new(&session, raw, this);
  session_.reset(session);
}

void FaultHttp2::serve() {
  {
    const std::lock_guard lock(origin_.mutex_);
    ++origin_.counts_.http2_connections;
  }
  const nghttp2_settings_entry settings[]{{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings, 1);
  while (flush() && !cut_ && wait()) {
    char chunk[kReadStep];
    const ssize_t n = stream_.receive(chunk, sizeof chunk);
    if (n <= 0) return;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(chunk);
    if (nghttp2_session_mem_recv(session_.get(), bytes, static_cast<std::size_t>(n)) < 0) return;
  }
}

bool FaultHttp2::flush() {
  while (true) {
    const std::uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_.get(), &data);
    if (n < 0) return false;
    if (n == 0) break;
    if (!stream_.send({reinterpret_cast<const char*>(data), static_cast<std::size_t>(n)})) {
      return false;
    }
  }
  return nghttp2_session_want_read(session_.get()) != 0 ||
         nghttp2_session_want_write(session_.get()) != 0;
}

// Until there is something to read. Lets go what was held once the origin releases it.
bool FaultHttp2::wait() {
  while (!stream_.has_pending()) {
    const bool held = std::any_of(exchanges_.begin(), exchanges_.end(),
                                  [](const auto& entry) { return entry.second.held; });
    pollfd both[2]{{stream_.descriptor(), POLLIN, 0}, {origin_.released_fd_, POLLIN, 0}};
    ::poll(both, held ? 2 : 1, -1);
    if (both[0].revents != 0) return true;
    for (auto& [id, exchange] : exchanges_) {
      if (!std::exchange(exchange.held, false)) continue;
      exchange.reply.stop_after.reset();
      exchange.reply.then = FaultReply::Then::keep_alive;
      nghttp2_session_resume_data(session_.get(), id);
    }
    if (!flush()) return false;
  }
  return true;
}

int FaultHttp2::on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                          std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                          std::uint8_t, void* self) {
  FaultRequest& request = static_cast<FaultHttp2*>(self)->exchanges_[frame->hd.stream_id].request;
  const std::string key(reinterpret_cast<const char*>(name), name_size);
  const std::string text(reinterpret_cast<const char*>(value), value_size);
  if (key == ":path") {
    request.target = text;
  } else if (key == ":method") {
    request.method = text;
  } else {
    request.headers[key == ":authority" ? "host" : key] = text;
  }
  return 0;
}

int FaultHttp2::on_frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS && end) {
    static_cast<FaultHttp2*>(self)->respond(frame->hd.stream_id);
  }
  return 0;
}

int FaultHttp2::on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* self) {
  static_cast<FaultHttp2*>(self)->exchanges_.erase(id);
  return 0;
}

void FaultHttp2::respond(std::int32_t id) {
  Exchange& exchange = exchanges_[id];
  last_stream_ = id;
  exchange.request.connection = number_;
  exchange.reply = origin_.answer(exchange.request);
  const FaultReply& reply = exchange.reply;
  std::vector<std::pair<std::string, std::string>> fields{
      {":status", std::to_string(reply.status)}};
  bool length = reply.framing != FaultReply::Framing::length;
  for (const auto& [name, value] : reply.headers) {
    fields.emplace_back(lower(name), value);
    length = length || fields.back().first == "content-length";
  }
  if (!length) fields.emplace_back("content-length", std::to_string(reply.body_size));
  std::vector<nghttp2_nv> list;
  for (const auto& [name, value] : fields) list.push_back(field(name, value));
  nghttp2_data_provider body{};
  body.read_callback = &FaultHttp2::read_body;
  nghttp2_submit_response(session_.get(), id, list.data(), list.size(), &body);
}

ssize_t FaultHttp2::read_body(nghttp2_session*, std::int32_t id, std::uint8_t* to, std::size_t size,
                              std::uint32_t* flags, nghttp2_data_source*, void* self) {
  auto& connection = *static_cast<FaultHttp2*>(self);
  Exchange& exchange = connection.exchanges_[id];
  const FaultReply& reply = exchange.reply;
  const std::size_t stop = std::min(reply.stop_after.value_or(reply.body_size), reply.body_size);
  const std::size_t now = std::min({size, stop - exchange.sent, kFrameBytes});
  if (now > 0) std::memcpy(to, reply.body->data() + reply.body_begin + exchange.sent, now);
  exchange.sent += now;
  connection.origin_.count_body(now);
  if (exchange.sent < stop) return static_cast<ssize_t>(now);
  const bool whole = stop == reply.body_size && reply.then != FaultReply::Then::hold;
  if (whole) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(now);
  }
  if (now > 0) return static_cast<ssize_t>(now);
  connection.carry_out(id, exchange);
  return NGHTTP2_ERR_DEFERRED;
}

int FaultHttp2::on_sent(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto& connection = *static_cast<FaultHttp2*>(self);
  const auto at = connection.exchanges_.find(frame->hd.stream_id);
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_DATA && end && at != connection.exchanges_.end()) {
    connection.carry_out(at->first, at->second);
  }
  return 0;
}

void FaultHttp2::carry_out(std::int32_t id, Exchange& exchange) {
  if (std::exchange(exchange.ended, true)) return;
  switch (exchange.reply.then) {
    case FaultReply::Then::keep_alive:
      return;
    case FaultReply::Then::hold:
      exchange.ended = false;
      exchange.held = true;
      return;
    case FaultReply::Then::reset_stream:
      nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
      return;
    case FaultReply::Then::refuse:
      nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, std::max(0, id - 2),
                            NGHTTP2_NO_ERROR, nullptr, 0);
      cut_ = true;
      return;
    case FaultReply::Then::goaway:
      nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, last_stream_, NGHTTP2_NO_ERROR,
                            nullptr, 0);
      return;
    case FaultReply::Then::reset:
      stream_.reset();
      cut_ = true;
      return;
    case FaultReply::Then::close:
      cut_ = true;
      return;
  }
}

}  // namespace lanward::test
