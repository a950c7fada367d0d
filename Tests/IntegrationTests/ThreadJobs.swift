import Foundation
import Testing

extension Jobs {
  /// Threads follow what the process may use of the machine.
  @Suite struct Threads {
    private let runs: TinyRuns

    init() throws { runs = try TinyRuns() }

    private static let settings = [
      "training.threads=null", "training.steps=1", "data.validation=null", "run.report=false",
    ]

    /// Trains with a command before it, and returns what environment.json says of threads.
    private func threads(
      _ name: String, before: [String], ranks: Int? = nil, _ settings: [String] = []
    ) throws -> (number: Int?, origin: String) {
      let command = try [Job.product("rfm")] + runs.arguments(name, Self.settings + settings)
      let outcome = try Job.run("/usr/bin/env", before + command, ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      let environment = try json(runs.path(name) + "/environment.json")
      return (
        environment["threads_per_rank"]?.integerValue,
        environment["threads_from"]?.textValue ?? ""
      )
    }

    @Test func anAffinityMaskIsFollowed() throws {
      let one = try threads("one", before: ["taskset", "-c", "0"])
      #expect(one.number == 1)
      #expect(one.origin == "affinity mask of 1 processor, shared by 1 rank")
      let two = try threads("two", before: ["taskset", "-c", "0"], ranks: 2)
      #expect(two.number == 1)
      #expect(two.origin == "affinity mask of 1 processor, shared by 2 ranks")
      let asked = try threads("asked", before: ["taskset", "-c", "0"], ["training.threads=2"])
      #expect(asked.number == 2 && asked.origin == "training.threads")
    }

    /// All that this machine has, by two ranks that may use all of it.
    @Test func ranksShareTheMachine() throws {
      let mine = try Job.run("/usr/bin/env", ["-u", "OMP_NUM_THREADS", "nproc"]).standardOutput
      let cores = try #require(Int(mine.trimmingCharacters(in: .whitespacesAndNewlines)))
      let found = try threads("x", before: [], ranks: 2)
      #expect(found.number == max(1, cores / 2))
      #expect(
        found.origin.hasPrefix("quota of ")
          || found.origin
            == "affinity mask of \(cores) processor\(cores == 1 ? "" : "s"), shared by 2 ranks"
      )
    }

    @Test(.needs(.quota)) func aQuotaIsFollowed() throws {
      // The affinity mask of one processor would be enough of a reason, too.
      let alone = try threads("alone", before: [Facility.quota.path, "60000"])
      #expect(alone.number == 1)
      let hasSeveral = ProcessInfo.processInfo.activeProcessorCount > 1
      #expect(!hasSeveral || alone.origin.hasPrefix("quota of 0.6 processors ("))
      #expect(!hasSeveral || alone.origin.hasSuffix("), shared by 1 rank"))
      let cores = try Job.run(
        Facility.quota.path,
        [
          "60000", "bash", "-c", "source \"$0\"; core_count", repository.path + "/launch/common.sh",
        ])
      #expect(cores.standardOutput == "1\n", "\(cores)")
    }

    /// The scripts that start the ranks see the same quotas, on a root of files made here.
    @Test(arguments: [
      ("0::/a/b", "0:28 / /g rw - cgroup2 c rw", "/g/a/cpu.max", "150000 100000", "150000 100000"),
      ("0::/", "0:28 / /g rw shared:1 - cgroup2 c rw", "/g/cpu.max", "max 100000", ""),
      ("0::/", "0:28 / /g rw - cgroup2 c rw", "/g/cpu.max", "50000 100000", "50000 100000"),
      ("0::/d/x/j", "0:28 /d/x /g rw - cgroup2 c rw", "/g/j/cpu.max", "9 10", "9 10"),
      ("0::/../y", "0:28 / /g rw - cgroup2 c rw", "/g/cpu.max", "7 10", "7 10"),
      ("4:cpu,x:/a", "0:29 / /c rw - cgroup c rw,cpu", "/c/a/cpu.cfs_quota_us", "5", "5 100000"),
      ("4:cpu:/a", "0:29 / /c rw - cgroup c rw,cpu", "/c/cpu.cfs_quota_us", "-1", ""),
      ("4:cpuset:/a", "0:29 / /c rw - cgroup c rw,cpuset", "/c/a/cpu.cfs_quota_us", "5", ""),
    ]) func scriptsSeeTheSameQuotas(
      group: String, mount: String, file: String, text: String, expected: String
    ) throws {
      var files = [
        ("/proc/self/cgroup", group), ("/proc/self/mountinfo", "31 23 \(mount)"), (file, text),
      ]
      if file.hasSuffix("cfs_quota_us") {
        files.append((file.replacing("quota", with: "period"), "100000"))
      }
      for (path, text) in files {
        let place = URL(filePath: runs.folder.path + path)
        try FileManager.default.createDirectory(
          at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: place)
      }
      let outcome = try Job.run(
        "/usr/bin/env",
        [
          "bash", "-c", "source \"$0\"; cpu_quotas \"$1\"", repository.path + "/launch/common.sh",
          runs.folder.path,
        ])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(outcome.standardOutput == (expected.isEmpty ? "" : expected + "\n"), "\(outcome)")
    }
  }
}
