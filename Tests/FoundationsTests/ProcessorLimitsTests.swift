import Foundation
import Testing

@testable import Foundations

/// Shares of processors, and where they are read: on a root of files that the tests make.
@Suite final class ProcessorLimitsTests {
  private let root = FileManager.default.temporaryDirectory.path + "/rfm-root-\(UUID().uuidString)"

  deinit { try? FileManager.default.removeItem(atPath: root) }

  private func write(_ path: String, _ text: String) throws {
    let file = URL(filePath: root + path)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data((text + "\n").utf8).write(to: file)
  }

  private static let version2 =
    "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
  private static let version1 = """
    32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
    33 31 0:30 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset
    34 31 0:31 / /sys/fs/cgroup/unified rw shared:12 - cgroup2 cgroup2 rw
    """

  private func quotas(_ groups: String, _ mounts: String) throws -> [Double] {
    try write("/proc/self/cgroup", groups)
    try write("/proc/self/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n" + mounts)
    return ProcessorLimits.quotas(root: root).map(\.processors)
  }

  @Test func everyQuotaOnTheWayUpIsSeen() throws {
    try write("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000")
    try write("/sys/fs/cgroup/a/b/cpu.max", "150000 100000")
    try write("/sys/fs/cgroup/a/cpu.max", "200000 50000")
    #expect(try quotas("0::/a/b/c", Self.version2) == [1.5, 4])
    #expect(try quotas("0::/a", Self.version2) == [4])
    #expect(try quotas("0::/", Self.version2) == [])
  }

  /// With a namespace of its own a container sees its group as the root; without one, the group's whole
  /// path, of which only the end is mounted.
  @Test func aContainersQuotaIsSeen() throws {
    try write("/sys/fs/cgroup/cpu.max", "300000 100000")
    #expect(try quotas("0::/", Self.version2) == [3])
    #expect(try quotas("0::/../other", Self.version2) == [3])
    let bound = Self.version2.replacingOccurrences(of: "0:28 / ", with: "0:28 /docker/x ")
    #expect(try quotas("0::/docker/x", bound) == [3])
    try write("/sys/fs/cgroup/job/cpu.max", "50000 100000")
    #expect(try quotas("0::/docker/x/job", bound) == [0.5, 3])
    #expect(try quotas("0::/docker/xy", bound) == [3])
  }

  @Test func quotasOfVersion1AreSeen() throws {
    try write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000")
    try write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000")
    try write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1")
    try write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
    // No quota of processor time, whatever it is called.
    try write("/sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "1000")
    let groups = "5:cpuset:/a\n4:cpu,cpuacct:/a\n0::/"
    #expect(try quotas(groups, Self.version1) == [2.5])
  }

  @Test func whatIsNoQuotaIsPassedOver() throws {
    for text in ["max 100000", "max", "", "x y", "-1 100000", "0 100000", "1000 0"] {
      try write("/sys/fs/cgroup/cpu.max", text)
      #expect(try quotas("0::/", Self.version2) == [], "\(text)")
    }
    #expect(ProcessorLimits.quotas(root: root + "/nowhere") == [])
  }

  @Test func theMaskIsReadWithoutWhatIsSwitchedOff() throws {
    try write("/proc/self/status", "Name:\trfm\nCpus_allowed_list:\t0-2,8,1030-1031")
    #expect(ProcessorLimits.allowedProcessors(root: root) == [0, 1, 2, 8, 1030, 1031])
    try write("/sys/devices/system/cpu/online", "1-1030")
    #expect(ProcessorLimits.allowedProcessors(root: root) == [1, 2, 8, 1030])
    #expect(!ProcessorLimits.allowedProcessors(root: root + "/nowhere").isEmpty)
  }

  private func threads(_ ranks: [ProcessorLimits]) -> [Int] {
    ranks.indices.map { ProcessorLimits.share(of: $0, among: ranks).threads }
  }

  @Test func ranksShareWhatTheyShare() {
    let all = ProcessorLimits(processors: Array(0..<8))
    #expect(threads([all]) == [8])
    #expect(threads([all, all]) == [4, 4])
    #expect(threads([all, all, all]) == [2, 2, 2])
    #expect(threads(Array(repeating: all, count: 9)) == Array(repeating: 1, count: 9))
    // Bound by their launcher, each to its own.
    #expect(
      threads([ProcessorLimits(processors: [0, 1, 2]), ProcessorLimits(processors: [3])]) == [3, 1])
    // Two in one cpuset, one in another that overlaps.
    let (left, right) = (
      ProcessorLimits(processors: [0, 1, 2, 3]), ProcessorLimits(processors: [2, 3, 4, 5])
    )
    #expect(threads([left, right]) == [3, 3])
    #expect(threads([left, left, right]) == [1, 1, 2])
  }

  @Test func theSmallestQuotaCountsAndItsGroupsRanksShareIt() {
    func limits(_ quotas: [(Double, String)]) -> ProcessorLimits {
      ProcessorLimits(
        processors: Array(0..<8),
        quotas: quotas.map { .init(processors: $0, group: $1, path: "/\($1)/cpu.max") })
    }
    #expect(threads([limits([(0.2, "a")])]) == [1])
    #expect(threads([limits([(1.5, "a")])]) == [2])
    #expect(threads([limits([(2, "a")])]) == [2])
    #expect(threads([limits([(4, "a"), (3, "b")])]) == [3])
    #expect(threads([limits([(100, "a")])]) == [8])
    let shared = limits([(4, "a")])
    #expect(threads([shared, shared]) == [2, 2])
    // Each in a group of its own below one that limits both.
    #expect(threads([limits([(3, "a"), (4, "top")]), limits([(1, "b"), (4, "top")])]) == [2, 1])
    // The mask allows less than the quota.
    #expect(threads([shared, shared, limits([])]) == [2, 2, 2])
  }

  @Test func theOriginSaysWhatCounted() {
    let mask = ProcessorLimits(processors: [0, 1])
    #expect(
      ProcessorLimits.share(of: 0, among: [mask]).origin
        == "affinity mask of 2 processors, shared by 1 rank")
    #expect(
      ProcessorLimits.share(of: 1, among: [mask, mask]).origin
        == "affinity mask of 2 processors, shared by 2 ranks")
    let quota = ProcessorLimits(
      processors: [0, 1], quotas: [.init(processors: 0.5, group: "1:2", path: "/g/cpu.max")])
    #expect(
      ProcessorLimits.share(of: 0, among: [quota]).origin
        == "quota of 0.5 processors (/g/cpu.max), shared by 1 rank")
  }

  @Test func otherRanksReadWhatOneWrote() {
    let limits = ProcessorLimits(
      processors: [0, 3, 1500], quotas: [.init(processors: 1.5, group: "0:28 9", path: "/a b")])
    let read = ProcessorLimits(encoded: limits.encoded)
    #expect(read.processors == limits.processors)
    #expect(read.quotas.map(\.processors) == [1.5] && read.quotas.map(\.group) == ["0:28 9"])
    let none = ProcessorLimits(processors: [2])
    #expect(ProcessorLimits(encoded: none.encoded) == none)
  }
}
