#include "worker/measure/cpu_monitor.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "worker/measure/cache.h"
#include "worker/measure/cpu_set.h"

namespace uaqf::measure {
namespace {

constexpr int64_t kShortestJudgedNs = 200'000'000;

std::string ReadText(const char* path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

int64_t Nanoseconds(const timeval& time) { return time.tv_sec * 1'000'000'000ll + time.tv_usec * 1'000ll; }

// Text behind the colon of a /proc/cpuinfo line, if it is the line of `key`.
bool CpuInfoValue(absl::string_view line, absl::string_view key, absl::string_view& value) {
  const size_t colon = line.find(':');
  if (!absl::StartsWith(line, key) || colon == absl::string_view::npos) return false;
  value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  return true;
}

}  // namespace

int64_t BusyTicks(absl::string_view proc_stat, const std::vector<int>& cpus) {
  int64_t busy = 0;
  for (absl::string_view line : absl::StrSplit(proc_stat, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int cpu = 0;
    // cpuN user nice system idle iowait irq softirq steal guest guest_nice; guests are part of user and nice.
    if (fields.size() < 9 || !absl::StartsWith(fields[0], "cpu") || !absl::SimpleAtoi(fields[0].substr(3), &cpu) ||
        !std::binary_search(cpus.begin(), cpus.end(), cpu)) {
      continue;
    }
    for (const size_t field : {1, 2, 3, 6, 7, 8}) {
      int64_t ticks = 0;
      if (absl::SimpleAtoi(fields[field], &ticks)) busy += ticks;
    }
  }
  return busy;
}

double MeanMhz(absl::string_view cpuinfo) {
  double sum = 0;
  int count = 0;
  for (absl::string_view line : absl::StrSplit(cpuinfo, '\n')) {
    absl::string_view value;
    double mhz = 0;
    if (CpuInfoValue(line, "cpu MHz", value) && absl::SimpleAtod(value, &mhz)) {
      sum += mhz;
      ++count;
    }
  }
  return count == 0 ? 0 : sum / count;
}

std::string CpuName(absl::string_view cpuinfo) {
  for (absl::string_view line : absl::StrSplit(cpuinfo, '\n')) {
    absl::string_view value;
    if (CpuInfoValue(line, "model name", value) && !value.empty()) return std::string(value);
  }
  return "unknown processor";
}

std::string CpuDeviceId(const std::vector<int>& cpus) {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat("cpu:", host, ":", FormatCpuList(cpus));
}

CpuMonitor::CpuMonitor(CpuMonitorOptions options, Clock* clock) : options_(std::move(options)), clock_(clock) {
  if (options_.cpus.empty()) options_.cpus = AvailableCpus();
  std::sort(options_.cpus.begin(), options_.cpus.end());
  device_.id = CpuDeviceId(options_.cpus);
  device_.name = CpuName(ReadText("/proc/cpuinfo"));
  device_.backend = "cpu";
  device_.threads = options_.threads;
  device_.isa = options_.isa;
}

void CpuMonitor::ClearCaches() { EvictCaches(2 * LastLevelCacheBytes()); }

CpuMonitor::Reading CpuMonitor::Read() const {
  Reading reading;
  reading.now_ns = clock_->NowNs();
  reading.busy_ticks = BusyTicks(ReadText("/proc/stat"), options_.cpus);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  reading.own_cpu_ns = Nanoseconds(usage.ru_utime) + Nanoseconds(usage.ru_stime);
  reading.involuntary_switches = usage.ru_nivcsw;
  reading.mhz = MeanMhz(ReadText("/proc/cpuinfo"));
  return reading;
}

void CpuMonitor::Begin() { begin_ = Read(); }

DeviceUse CpuMonitor::End() {
  const Reading end = Read();
  DeviceUse use;
  use.wall_ns = end.now_ns - begin_.now_ns;
  use.involuntary_switches = end.involuntary_switches - begin_.involuntary_switches;
  use.cpu_mhz = (begin_.mhz + end.mhz) / 2;
  const double tick_ns = 1e9 / static_cast<double>(sysconf(_SC_CLK_TCK));
  const double busy_ns = static_cast<double>(end.busy_ticks - begin_.busy_ticks) * tick_ns;
  const double foreign_ns = busy_ns - static_cast<double>(end.own_cpu_ns - begin_.own_cpu_ns);
  const double capacity_ns = static_cast<double>(use.wall_ns) * static_cast<double>(options_.cpus.size());
  use.foreign_load = capacity_ns > 0 ? std::clamp(foreign_ns / capacity_ns, 0.0, 1.0) : 0;
  if (use.wall_ns >= kShortestJudgedNs && use.foreign_load > options_.max_foreign_load) {
    use.taints.push_back(absl::StrFormat("foreign load %.2f of CPUs %s, at most %.2f expected", use.foreign_load,
                                         FormatCpuList(options_.cpus), options_.max_foreign_load));
  }
  return use;
}

int64_t PeakResidentBytes() {
  rusage usage = {};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<int64_t>(usage.ru_maxrss) * 1024 : 0;
}

void ResetPeakResidentBytes() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace uaqf::measure
