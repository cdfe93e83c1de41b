#include "peer/dns_sd.h"

#ifdef LANWARD_DNS_SD

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/error.h>
#include <avahi-common/strlst.h>
#include <avahi-common/thread-watch.h>
#include <dlfcn.h>
#include <net/if.h>

#include <array>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "engine/core/dns_sd.h"
#include "peer/beacon_socket.h"
#include "peer/group_file.h"

namespace lanward::peer {
namespace {

// Brings in libavahi-common, too.
constexpr const char* kLibrary = "libavahi-client.so.3";
// Services of others that are followed. Of more, the daemon would not let one client follow.
constexpr std::size_t kServicesMax = 512;

// What is used of the library, by the names it has there.
// clang-format off
#define LANWARD_AVAHI_FUNCTIONS(each) \
  each(threaded_poll_new) each(threaded_poll_free) each(threaded_poll_get) \
  each(threaded_poll_start) each(threaded_poll_stop) each(threaded_poll_lock) \
  each(threaded_poll_unlock) each(client_new) each(client_free) each(client_errno) \
  each(strerror) each(entry_group_new) each(entry_group_reset) each(entry_group_commit) \
  each(entry_group_is_empty) each(entry_group_add_service_strlst) \
  each(entry_group_update_service_txt_strlst) each(service_browser_new) \
  each(service_resolver_new) each(service_resolver_free) each(string_list_add_arbitrary) \
  each(string_list_free)
// clang-format on

struct Library {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares the name
#define LANWARD_AVAHI(name) decltype(&avahi_##name) name = nullptr;
  LANWARD_AVAHI_FUNCTIONS(LANWARD_AVAHI)
#undef LANWARD_AVAHI
};

template <class Function>
bool find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  return function != nullptr;
}

// Null: it is not there, or lacks something. It stays loaded.
const Library* load() {
  static const Library* const loaded = []() -> const Library* {
    void* const handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return nullptr;
    static Library library;
    bool complete = true;
#define LANWARD_AVAHI(name) complete = find(handle, "avahi_" #name, library.name) && complete;
    LANWARD_AVAHI_FUNCTIONS(LANWARD_AVAHI)
#undef LANWARD_AVAHI
    return complete ? &library : nullptr;
  }();
  return loaded;
}

tl::unexpected<Error> no_daemon(const std::string& why) {
  return fail(ErrorCode::network,
              "--dns-sd finds nobody: the Avahi daemon cannot be asked (" + why + ")");
}

// Tells nobody who or what it is.
std::string random_name() {
  std::array<std::uint8_t, 8> bytes{};
  fill_random(bytes);
  std::string name = "lanward-";
  for (const std::uint8_t byte : bytes) {
    for (const int shift : {4, 0}) name += "0123456789abcdef"[byte >> shift & 0xf];
  }
  return name;
}

class Avahi final : public DnsSd {
 public:
  Avahi(const Library& library, const lt::address& listen, Heard heard)
      : library_(library),
        v6_(listen.is_v6()),
        interface_(listen.is_unspecified() ? AVAHI_IF_UNSPEC
                                           : static_cast<AvahiIfIndex>(interface_of(listen))),
        heard_(std::move(heard)) {}
  ~Avahi() override;

  [[nodiscard]] Result<void> start();
  void announce(std::uint16_t port, std::vector<std::uint8_t> datagram) override;
  [[nodiscard]] bool works() override;

 private:
  // Interface, protocol and name of a service.
  using Service = std::tuple<AvahiIfIndex, AvahiProtocol, std::string>;

  [[nodiscard]] AvahiProtocol family() const { return v6_ ? AVAHI_PROTO_INET6 : AVAHI_PROTO_INET; }
  // All under the lock of poll_, which its thread holds while it calls back.
  void client_changed(AvahiClient* client, AvahiClientState state);
  void put();
  void browsed(AvahiBrowserEvent event, Service service, const char* domain);
  void resolved(const AvahiAddress& address, AvahiIfIndex interface, AvahiStringList* text);

  const Library& library_;
  const bool v6_;
  const AvahiIfIndex interface_;
  const Heard heard_;
  const std::string name_ = random_name();
  AvahiThreadedPoll* poll_ = nullptr;
  AvahiClient* client_ = nullptr;  // the others are its own
  AvahiEntryGroup* group_ = nullptr;
  AvahiServiceBrowser* browser_ = nullptr;
  std::map<Service, AvahiServiceResolver*> resolvers_;
  bool running_ = false;  // the daemon answers
  bool refused_ = false;
  std::uint16_t port_ = 0;
  std::uint16_t put_port_ = 0;  // as it is announced
  std::vector<std::uint8_t> datagram_;
};

Avahi::~Avahi() {
  if (poll_ == nullptr) return;
  library_.threaded_poll_stop(poll_);
  if (client_ != nullptr) library_.client_free(client_);
  library_.threaded_poll_free(poll_);
}

Result<void> Avahi::start() {
  poll_ = library_.threaded_poll_new();
  if (poll_ == nullptr) return no_daemon("no memory");
  int error = 0;
  // A daemon that starts later, or again, is waited for.
  client_ = library_.client_new(
      library_.threaded_poll_get(poll_), AVAHI_CLIENT_NO_FAIL,
      [](AvahiClient* client, AvahiClientState state, void* self) {
        static_cast<Avahi*>(self)->client_changed(client, state);
      },
      this, &error);
  if (client_ == nullptr) return no_daemon(library_.strerror(error));
  if (library_.threaded_poll_start(poll_) != 0) return no_daemon("no thread");
  return {};
}

bool Avahi::works() {
  library_.threaded_poll_lock(poll_);
  const bool works = running_ && !refused_;
  library_.threaded_poll_unlock(poll_);
  return works;
}

void Avahi::announce(std::uint16_t port, std::vector<std::uint8_t> datagram) {
  library_.threaded_poll_lock(poll_);
  port_ = port;
  datagram_ = std::move(datagram);
  if (running_) put();
  library_.threaded_poll_unlock(poll_);
}

void Avahi::client_changed(AvahiClient* client, AvahiClientState state) {
  client_ = client;  // the first call comes before it has been told
  running_ = state == AVAHI_CLIENT_S_RUNNING;
  if (running_) {
    if (browser_ == nullptr) {
      browser_ = library_.service_browser_new(
          client_, interface_, AVAHI_PROTO_UNSPEC, core::kDnsSdType, nullptr, AvahiLookupFlags{},
          [](AvahiServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
             AvahiBrowserEvent event, const char* name, const char*, const char* domain,
             AvahiLookupResultFlags, void* self) {
            if (name == nullptr) return;
            static_cast<Avahi*>(self)->browsed(event, {interface, protocol, name}, domain);
          },
          this);
      refused_ = browser_ == nullptr;
    }
    return put();
  }
  if (state != AVAHI_CLIENT_FAILURE) return;
  // The daemon has gone, and with it all that it was asked for. A new client waits for the next.
  group_ = nullptr;
  browser_ = nullptr;
  resolvers_.clear();
  AvahiClient* const old = std::exchange(client_, nullptr);
  refused_ = library_.client_errno(old) != AVAHI_ERR_DISCONNECTED;
  library_.client_free(old);
  if (refused_) return;
  refused_ = library_.client_new(
                 library_.threaded_poll_get(poll_), AVAHI_CLIENT_NO_FAIL,
                 [](AvahiClient* next, AvahiClientState changed, void* self) {
                   static_cast<Avahi*>(self)->client_changed(next, changed);
                 },
                 this, nullptr) == nullptr;
}

// Announces what there is to be announced.
void Avahi::put() {
  if (group_ == nullptr) {
    group_ = library_.entry_group_new(
        client_, [](AvahiEntryGroup*, AvahiEntryGroupState, void*) {}, this);
  }
  if (group_ == nullptr) {
    refused_ = true;
    return;
  }
  const bool there = library_.entry_group_is_empty(group_) == 0;
  if (datagram_.empty()) {
    if (there) library_.entry_group_reset(group_);
    return;
  }
  AvahiStringList* text = nullptr;
  for (const std::string& part : core::to_dns_sd(datagram_)) {
    text = library_.string_list_add_arbitrary(
        text, reinterpret_cast<const std::uint8_t*>(part.data()), part.size());
  }
  int done = 0;
  if (there && put_port_ == port_) {
    done = library_.entry_group_update_service_txt_strlst(group_, interface_, AVAHI_PROTO_UNSPEC,
                                                          AvahiPublishFlags{}, name_.c_str(),
                                                          core::kDnsSdType, nullptr, text);
  } else {
    if (there) library_.entry_group_reset(group_);
    done = library_.entry_group_add_service_strlst(group_, interface_, AVAHI_PROTO_UNSPEC,
                                                   AvahiPublishFlags{}, name_.c_str(),
                                                   core::kDnsSdType, nullptr, nullptr, port_, text);
    if (done == 0) done = library_.entry_group_commit(group_);
    put_port_ = port_;
  }
  library_.string_list_free(text);
  refused_ = done != 0 || browser_ == nullptr;
}

void Avahi::browsed(AvahiBrowserEvent event, Service service, const char* domain) {
  const auto known = resolvers_.find(service);
  if (event == AVAHI_BROWSER_REMOVE && known != resolvers_.end()) {
    library_.service_resolver_free(known->second);
    resolvers_.erase(known);
  }
  if (event != AVAHI_BROWSER_NEW || known != resolvers_.end()) return;
  const auto& [interface, protocol, name] = service;
  if (name == name_ || resolvers_.size() >= kServicesMax) return;
  // It is kept, and tells of every change.
  AvahiServiceResolver* const resolver = library_.service_resolver_new(
      client_, interface, protocol, name.c_str(), core::kDnsSdType, domain, family(),
      AvahiLookupFlags{},
      [](AvahiServiceResolver*, AvahiIfIndex on, AvahiProtocol, AvahiResolverEvent what,
         const char*, const char*, const char*, const char*, const AvahiAddress* address,
         std::uint16_t, AvahiStringList* text, AvahiLookupResultFlags, void* self) {
        if (what != AVAHI_RESOLVER_FOUND || address == nullptr) return;
        static_cast<Avahi*>(self)->resolved(*address, on, text);
      },
      this);
  if (resolver != nullptr) resolvers_.emplace(std::move(service), resolver);
}

void Avahi::resolved(const AvahiAddress& address, AvahiIfIndex interface, AvahiStringList* text) {
  lt::address from;
  if (address.proto == AVAHI_PROTO_INET) {
    lt::address_v4::bytes_type bytes;
    std::memcpy(bytes.data(), &address.data.ipv4.address, bytes.size());
    from = lt::address_v4(bytes);
  } else {
    lt::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), address.data.ipv6.address, bytes.size());
    lt::address_v6 v6(bytes);
    if (v6.is_link_local()) v6.scope_id(static_cast<unsigned long>(interface));
    from = v6;
  }
  std::vector<std::string> strings;
  for (; text != nullptr; text = text->next) {
    strings.emplace_back(reinterpret_cast<const char*>(text->text), text->size);
  }
  if (const auto datagram = core::from_dns_sd(strings)) heard_(*datagram, from);
}

}  // namespace

Result<std::unique_ptr<DnsSd>> DnsSd::start(const lt::address& listen, Heard heard) {
  const Library* const library = load();
  if (library == nullptr) {
    return fail(ErrorCode::unsupported, std::string("--dns-sd finds nobody: ") + kLibrary +
                                            " is not installed (apt-get install avahi-daemon)");
  }
  auto made = std::make_unique<Avahi>(*library, listen, std::move(heard));
  if (auto started = made->start(); !started) return tl::unexpected(started.error());
  return made;
}

}  // namespace lanward::peer

#else

namespace lanward::peer {

Result<std::unique_ptr<DnsSd>> DnsSd::start(const lt::address&, Heard) {
  return fail(ErrorCode::unsupported, "--dns-sd finds nobody: this program was built without it");
}

}  // namespace lanward::peer

#endif
