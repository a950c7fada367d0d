import Foundation
import Testing

@testable import Networks

/// The memory of another process, by way of /proc.
private struct ProcessMemory {
  let process: pid_t

  /// Whether the system lets a parent look into its children.
  static var isAllowed: Bool {
    let scope = (try? String(contentsOfFile: "/proc/sys/kernel/yama/ptrace_scope", encoding: .utf8))
    return getuid() == 0 || ["0\n", "1\n", nil].contains(scope)
  }

  /// Writes `replacement` wherever `pattern` lies in writable memory of no file. Returns how many
  /// places those were.
  func replace(_ pattern: [Float], by replacement: [Float]) throws -> Int {
    let memory = open("/proc/\(process)/mem", O_RDWR | O_CLOEXEC)
    try #require(memory >= 0, "\(String(cString: strerror(errno)))")
    defer { close(memory) }
    let maps = try String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)
    let sought = pattern.withUnsafeBytes { Data($0) }
    var places = 0
    for line in maps.split(separator: "\n") {
      let fields = line.split(separator: " ")
      let ends = fields[0].split(separator: "-").compactMap { Int($0, radix: 16) }
      guard fields[1].hasPrefix("rw"), fields.count < 6 || fields[5] == "[heap]", ends.count == 2,
        ends[1] - ends[0] < 1 << 30
      else { continue }
      var bytes = Data(count: ends[1] - ends[0])
      let count = bytes.withUnsafeMutableBytes {
        pread(memory, $0.baseAddress!, $0.count, off_t(ends[0]))
      }
      guard count > 0 else { continue }
      var rest = 0..<count
      while let found = bytes.range(of: sought, in: rest) {
        let written = replacement.withUnsafeBytes {
          pwrite(memory, $0.baseAddress!, $0.count, off_t(ends[0] + found.lowerBound))
        }
        if written == sought.count { places += 1 }
        rest = found.upperBound..<count
      }
    }
    return places
  }
}

extension Jobs {
  /// Replicas that are no longer the same.
  @Suite struct Drift {
    /// Some weights are changed in the memory of rank 1, as by a faulty module. The learning rate is
    /// so small that weights keep the bits by which they are found.
    @Test(.enabled(if: ProcessMemory.isAllowed, "needs to look into another process's memory"))
    func aReplicaThatDriftsIsNamed() throws {
      let runs = try TinyRuns()
      let weights = try TinyRuns.checkpoint.get().path + "/model.safetensors"
      let fc = try #require(try Safetensors.read(weights).first { $0.name == "fc.weight" })
      let job = try Job(
        "rfm",
        runs.arguments(
          "x",
          [
            "model.weights=\(weights)", "training.optimizer.learning_rate=1e-30",
            "training.steps=4000", "communication.digest_every_steps=5",
            "checkpoint.every_steps=4000", "evaluation.every_steps=0",
          ]), ranks: 2, timeLimit: 120)
      let metrics = runs.path("x") + "/metrics.jsonl"
      #expect(
        job.wait(until: { _ in ((try? bytes(metrics).count) ?? 0) > 1000 }), "\(job.wait())")
      let memory = ProcessMemory(process: try #require(job.ranks()[1]))
      let pattern = Array(fc.values.prefix(16))
      #expect(try memory.replace(pattern, by: pattern.map { $0 + 1 }) > 0)
      let outcome = job.wait()
      #expect(
        outcome.isRefusal(70, "the weights of rank 1 differ from rank 0's", "nothing was saved"),
        "\(outcome)")
      #expect(runs.folder.names("runs/x/checkpoints").isEmpty)
    }
  }
}

/// The table of faults in the documentation names tests that there are.
@Test func everyFaultInTheDocumentationHasItsTest() throws {
  let page = repository.appending(path: "Sources/Training/Training.docc/Faults.md")
  let rows = try String(contentsOf: page, encoding: .utf8).split(separator: "\n")
    .filter { $0.hasPrefix("| ") }.dropFirst(2)
  #expect(rows.count > 10)
  let folder = repository.appending(path: "Tests")
  let sources = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
    .filter { $0.hasSuffix(".swift") }
    .map { try String(contentsOf: folder.appending(path: $0), encoding: .utf8) }.joined()
  for row in rows {
    let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    try #require(cells.count == 3, "\(row)")
    let tests = cells[2].split(separator: ", ").map {
      $0.trimmingCharacters(in: CharacterSet(charactersIn: "`"))
    }
    #expect(!tests.isEmpty)
    for test in tests { #expect(sources.contains("func \(test)("), "\(test)") }
  }
}
