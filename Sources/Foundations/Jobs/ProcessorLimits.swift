import Foundation

/// What a process may use of its machine's processors: those of its affinity mask (`taskset`, cpusets,
/// what a launcher bound it to), for as much time as its control groups' quotas allow.
public struct ProcessorLimits: Sendable, Equatable {
  /// What a control group may use.
  public struct Quota: Sendable, Equatable {
    /// Processors' worth of time: 1.5 is one and half of another.
    public var processors: Double
    /// What tells the group from others of the machine, whatever it is called in a container: device
    /// and number of its folder.
    public var group: String
    /// The file that says so.
    public var path: String

    public init(processors: Double, group: String, path: String) {
      self.processors = processors
      self.group = group
      self.path = path
    }
  }

  /// Numbers of the processors that it may run on, ascending.
  public var processors: [Int]
  /// Of its control group and those that this one is in.
  public var quotas: [Quota]

  public init(processors: [Int], quotas: [Quota] = []) {
    self.processors = processors
    self.quotas = quotas
  }

  /// Those of this process.
  public static let current = ProcessorLimits(processors: allowedProcessors(), quotas: quotas())

  /// Threads that keep busy what a process alone may use.
  public var threads: Int { Self.share(of: 0, among: [self]).threads }

  // MARK: A share

  /// What one of several processes takes.
  public struct Share: Sendable, Equatable {
    public var threads: Int
    /// Where the number comes from, in words.
    public var origin: String
  }

  /// What one of the ranks of a machine takes: an equal part of what it shares with others.
  ///
  /// Parts of processors are left over: more threads than processors would wait for each other. Of a
  /// quota the part is rounded up: it limits time, not places, and threads that are held back now and
  /// then do more than threads that are not there.
  ///
  /// - Parameters:
  ///   - place: of the rank in `ranks`.
  ///   - ranks: the limits of all ranks on one machine.
  public static func share(of place: Int, among ranks: [ProcessorLimits]) -> Share {
    let mine = ranks[place]
    var users: [Int: Int] = [:]
    for rank in ranks {
      for processor in rank.processors { users[processor, default: 0] += 1 }
    }
    // Of each processor that it may run on as much as everybody else who may.
    let parts = mine.processors.reduce(0.0) { $0 + 1 / Double(users[$1]!) }
    let counts = Set(mine.processors.map { users[$0]! })
    let sharers =
      counts.count == 1
      ? "shared by \(counted(counts.first!, "rank"))" : "parts of it shared with other ranks"
    var share = Share(
      threads: max(1, Int((parts + 1e-6).rounded(.down))),
      origin: "affinity mask of \(counted(mine.processors.count, "processor")), \(sharers)")
    for quota in mine.quotas {
      let sharing = ranks.count { $0.quotas.contains { $0.group == quota.group } }
      let threads = max(1, Int((quota.processors / Double(sharing) - 1e-6).rounded(.up)))
      guard threads < share.threads else { continue }
      let processors = (quota.processors * 100).rounded() / 100
      share = Share(
        threads: threads,
        origin: "quota of \(processors) processors (\(quota.path)), "
          + "shared by \(counted(sharing, "rank"))")
    }
    return share
  }

  private static func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  // MARK: Affinity

  /// Those of the system's list that are switched on: the list may name others.
  ///
  /// - Parameter root: what stands before every path, for tests.
  static func allowedProcessors(root: String = "") -> [Int] {
    let status = try? String(contentsOfFile: root + "/proc/self/status", encoding: .utf8)
    let field = "Cpus_allowed_list:"
    let line = status?.split(separator: "\n").first { $0.hasPrefix(field) }
    let allowed = line.map { numbers(in: $0.dropFirst(field.utf8.count)) } ?? []
    let online = try? String(
      contentsOfFile: root + "/sys/devices/system/cpu/online", encoding: .utf8)
    let isOn = Set(online.map { numbers(in: $0[...]) } ?? [])
    let usable = allowed.filter { isOn.isEmpty || isOn.contains($0) }
    return usable.isEmpty ? Array(0..<ProcessInfo.processInfo.activeProcessorCount) : usable
  }

  /// The numbers of a list such as `0-3,8`.
  private static func numbers(in list: Substring) -> [Int] {
    list.split { ", \t\n".contains($0) }.flatMap { range -> [Int] in
      let ends = range.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last, last < 1 << 20 else {
        return []
      }
      return Array(first...last)
    }
  }

  // MARK: Quotas

  /// The quotas of this process's control group and of those above it, as far as they can be seen:
  /// `cpu.max` of version 2, `cpu.cfs_quota_us` of version 1.
  ///
  /// - Parameter root: what stands before every path, for tests.
  static func quotas(root: String = "") -> [Quota] {
    func text(_ path: String) -> String? {
      try? String(contentsOfFile: root + path, encoding: .utf8)
    }
    guard let groups = text("/proc/self/cgroup"), let mounts = text("/proc/self/mountinfo") else {
      return []
    }
    /// The process's group in the hierarchy of version 2, and in that of version 1's controller.
    var paths: (two: Substring?, one: Substring?) = (nil, nil)
    for line in groups.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[0] == "0", fields[1].isEmpty { paths.two = fields[2] }
      if fields[1].split(separator: ",").contains("cpu") { paths.one = fields[2] }
    }
    var found: [Quota] = []
    for line in mounts.split(separator: "\n") {
      guard let mount = Mount(line),
        let path = mount.isVersion2 ? paths.two : mount.hasController ? paths.one : nil
      else { continue }
      for folder in mount.folders(of: path) {
        let file = folder + (mount.isVersion2 ? "/cpu.max" : "/cpu.cfs_quota_us")
        guard let content = text(file) else { continue }
        var numbers = content.split(whereSeparator: \.isWhitespace)
        if !mount.isVersion2 {
          numbers += (text(folder + "/cpu.cfs_period_us") ?? "").split(
            whereSeparator: \.isWhitespace)
        }
        // "max", or -1, is no quota.
        guard let time = numbers.first.flatMap({ Double($0) }), time > 0,
          let period = numbers.count > 1 ? Double(numbers[1]) : 100_000, period > 0
        else { continue }
        var status = stat()
        let isThere = stat(root + folder, &status) == 0
        let group = isThere ? "\(status.st_dev):\(status.st_ino)" : folder
        // It may be mounted twice.
        guard !found.contains(where: { $0.group == group }) else { continue }
        found.append(Quota(processors: time / period, group: group, path: file))
      }
    }
    return found
  }

  /// A line of `/proc/self/mountinfo` that tells of control groups.
  private struct Mount {
    let isVersion2: Bool
    /// Of version 1: whether it is the hierarchy that shares out processor time.
    let hasController: Bool
    /// The group that is seen at `place`.
    let top: String
    let place: String

    init?(_ line: Substring) {
      let halves = line.components(separatedBy: " - ")
      guard halves.count == 2 else { return nil }
      let fields = halves[0].split(separator: " ")
      let kind = halves[1].split(separator: " ")
      guard fields.count >= 5, kind.count >= 3, kind[0] == "cgroup" || kind[0] == "cgroup2" else {
        return nil
      }
      isVersion2 = kind[0] == "cgroup2"
      hasController = kind[2].split(separator: ",").contains("cpu")
      func plain(_ field: Substring) -> String {
        String(field).replacingOccurrences(of: "\\040", with: " ")
          .replacingOccurrences(of: "\\011", with: "\t")
          .replacingOccurrences(of: "\\012", with: "\n")
          .replacingOccurrences(of: "\\134", with: "\\")
      }
      top = plain(fields[3])
      place = plain(fields[4])
    }

    /// The folders of a group and of those that it is in, from within, up to the highest that is seen.
    func folders(of group: Substring) -> [String] {
      var inside = ""
      if top == "/" {
        inside = String(group)
      } else if group.hasPrefix(top + "/") {
        inside = String(group.dropFirst(top.utf8.count))
      }
      // A group outside of what this process sees: what is seen is all that can be told.
      if inside.split(separator: "/").contains("..") { inside = "" }
      var folders: [String] = []
      while inside.count > 1, let slash = inside.lastIndex(of: "/") {
        folders.append(place + inside)
        inside = String(inside[..<slash])
      }
      return folders + [place]
    }
  }

  // MARK: As text, for other ranks

  /// In one line, see `init(encoded:)`.
  public var encoded: String {
    let processors = processors.map(String.init).joined(separator: ",")
    return ([processors] + quotas.map { "\($0.processors) \($0.group)" }).joined(separator: ";")
  }

  /// What another process wrote as `encoded`; the paths of its quotas are not told.
  public init(encoded: String) {
    let parts = encoded.split(separator: ";", omittingEmptySubsequences: false)
    processors = parts[0].split(separator: ",").compactMap { Int($0) }
    quotas = parts.dropFirst().compactMap {
      let fields = $0.split(separator: " ", maxSplits: 1)
      guard fields.count == 2, let processors = Double(fields[0]) else { return nil }
      return Quota(processors: processors, group: String(fields[1]), path: "")
    }
  }
}
