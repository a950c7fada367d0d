import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Configuration
@testable import Foundations

@Suite struct RunFolderTests {
  private let folder = TemporaryFolder()

  private func lines() throws -> [String] {
    try String(contentsOfFile: folder("metrics.jsonl"), encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test func aFolderThatHoldsATrainingIsOnlyOpenedToContinueIt() throws {
    let path = folder("runs/a")
    do {
      let run = try RunFolder(opening: path, resume: false)
      try run.metrics(resumingAfter: 0).append(["step": 1])
    }
    let error = try #require(throws: RunFolder.Refusal.self) {
      try RunFolder(opening: path, resume: false)
    }
    #expect(error.description.contains("--resume"))
    #expect(throws: Never.self) { try RunFolder(opening: path, resume: true) }
    #expect(throws: Never.self) { try RunFolder(opening: folder("runs/b"), resume: true) }
  }

  @Test func twoTrainingsCannotShareAFolder() throws {
    let first = try RunFolder(opening: folder.path, resume: false)
    let error = try #require(throws: RunFolder.Refusal.self) {
      try RunFolder(opening: folder.path, resume: true, patience: 0.1)
    }
    #expect(error.description.contains("in use"))
    withExtendedLifetime(first) {}
  }

  @Test func theFolderIsFreeOnceTheFirstTrainingHasGone() throws {
    do { _ = try RunFolder(opening: folder.path, resume: false) }
    #expect(throws: Never.self) {
      try RunFolder(opening: folder.path, resume: false, patience: 0)
    }
  }

  /// A kill may come while config.yaml is written, too.
  @Test func whatAKilledTrainingHadBegunToWriteIsRemoved() throws {
    do { _ = try RunFolder(opening: folder.path, resume: false) }
    for name in ["config.yaml.12.partial", "environment.json.3.partial", "notes.partial"] {
      try Data("run:".utf8).write(to: URL(fileURLWithPath: folder(name)))
    }
    do { _ = try RunFolder(opening: folder.path, resume: true) }
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(names.filter { $0.hasSuffix(".partial") } == ["notes.partial"])
  }

  @Test func configurationAndEnvironmentAreWritten() throws {
    let run = try RunFolder(opening: folder.path, resume: false)
    var configuration = Configuration()
    configuration.data.train = ["t.h5"]
    configuration = configuration.resolved(threads: 2)
    try run.write(configuration)
    #expect(try Configuration.load(path: run.configurationPath) == configuration)
    try run.write(
      RunEnvironment(
        versions: [.init("rfm", "1.0")], hosts: ["a", "b"], threadsPerRank: 2,
        threadsFrom: "training.threads", threadsOfRanks: [2, 1]))
    let json = try JSON(parsing: Data(contentsOf: URL(fileURLWithPath: run.environmentPath)))
    #expect(json["ranks"] == 2 && json["hosts"] == ["a", "b"])
    #expect(json["threads_per_rank"] == 2 && json["threads_from"] == "training.threads")
    #expect(json["threads_of_ranks"] == [2, 1])
    #expect(json["versions"]?["mpi"]?.textValue?.contains("MPI") == true)
    #expect(json["processor"]?["cores"]?.integerValue ?? 0 >= 1)
  }

  @Test func whatWasComputedOtherwiseBeforeIsTold() throws {
    let run = try RunFolder(opening: folder.path, resume: false)
    #expect(run.environment == nil)
    func environment(_ versions: [JSON.Member]) -> RunEnvironment {
      RunEnvironment(versions: versions, hosts: ["a"], threadsPerRank: 2)
    }
    let now = environment([
      .init("rfm", "2.0"), .init("arithmetic", 2), .init("onednn", "3.7"), .init("kernels", "v3"),
    ])
    try run.write(now)
    let record = try #require(run.environment)
    #expect(now.changes(since: record) == [])
    try run.write(
      environment([.init("rfm", "1.0"), .init("onednn", "2.7"), .init("kernels", "v3")]))
    #expect(
      now.changes(since: try #require(run.environment)) == [
        "order of sums: 1 before, 2 now", "oneDNN: 2.7 before, 3.7 now",
      ])
    try Data("{".utf8).write(to: URL(filePath: run.environmentPath))
    #expect(run.environment == nil)
  }

  /// Of a step whose validation is to be made again: the first may have been written down.
  @Test func ofAStepWithWorkPendingOnlyItsOwnLineStays() throws {
    do {
      let metrics = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 0)
      for step in 1...2 {
        try metrics.append(["step": .integer(step), "loss": 0.5])
        try metrics.append(["step": .integer(step), "validation_auc": 0.9])
      }
    }
    do { _ = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 2) }
    #expect(try lines().count == 4)
    do {
      _ = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 2, hasWorkPending: true)
    }
    #expect(try lines().count == 3 && lines().last?.contains("loss") == true)
  }

  @Test func linesAfterTheResumedStepAreRemoved() throws {
    do {
      let metrics = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 0)
      for step in 1...5 { try metrics.append(["step": .integer(step), "loss": 0.5]) }
      try metrics.append(["step": 5, "auc": 0.9])
      try metrics.synchronise()
    }
    do {
      let metrics = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 3)
      try metrics.append(["step": 4, "loss": 0.25])
    }
    #expect(
      try lines() == [1, 2, 3].map { "{\"step\":\($0),\"loss\":0.5}" }
        + ["{\"step\":4,\"loss\":0.25}"])
    #expect(try MetricsFile.read(folder("metrics.jsonl")).count == 4)
    _ = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 0)
    #expect(try lines() == [])
  }

  @Test func aLineCutShortByAKillIsRemoved() throws {
    let url = URL(fileURLWithPath: folder("metrics.jsonl"))
    try Data("{\"step\":1}\n{\"step\":2}\n{\"step\":3".utf8).write(to: url)
    #expect(try MetricsFile.read(url.path).count == 2)
    try MetricsFile(path: url.path, resumingAfter: 9).append(["step": 10])
    #expect(try lines() == ["{\"step\":1}", "{\"step\":2}", "{\"step\":10}"])
  }

  @Test func aFileThatIsNoLongerInItsPlaceIsMissed() throws {
    let path = folder("metrics.jsonl")
    let metrics = try MetricsFile(path: path, resumingAfter: 0)
    try metrics.append(["step": 1])
    #expect(rename(path, folder("elsewhere")) == 0)
    let gone = try #require(throws: FileError.self) { try metrics.append(["step": 2]) }
    #expect(gone.code == ENOENT && gone.path == path)
    try Data("{\"step\":1}\n".utf8).write(to: URL(fileURLWithPath: path))
    let other = try #require(throws: FileError.self) { try metrics.append(["step": 3]) }
    #expect(other.code == ESTALE && other.path == path)
  }

  @Test func longFilesAreReadInPieces() throws {
    let text = String(repeating: "x", count: 1000)
    let metrics = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 0)
    for step in 1...300 { try metrics.append(["step": .integer(step), "text": .text(text)]) }
    #expect(
      try MetricsFile.read(folder("metrics.jsonl")).compactMap { $0["step"]?.integerValue }
        == Array(1...300))
    _ = try MetricsFile(path: folder("metrics.jsonl"), resumingAfter: 250)
    #expect(try lines().count == 250)
  }

  @Test func aDamagedLineInTheMiddleIsNamed() throws {
    try Data("{\"step\":1}\nrubbish\n{\"step\":3}\n".utf8).write(
      to: URL(fileURLWithPath: folder("metrics.jsonl")))
    let error = try #require(throws: CheckpointError.self) {
      try MetricsFile.read(folder("metrics.jsonl"))
    }
    #expect(error.description.contains("metrics.jsonl: line 2 is not JSON"))
  }

  @Test func instructionSetsAreToldFromTheFlags() {
    func set(_ flags: String) -> String {
      RunEnvironment.Processor(
        information: "processor\t: 0\nmodel name\t: A: B\nflags\t\t: \(flags)\n",
        architecture: "x86_64", cores: 1
      ).instructionSet
    }
    let v2 = "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
    let v3 = v2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
    #expect(set("fpu sse2") == "x86-64")
    #expect(set(v2) == "x86-64-v2")
    #expect(set(v3) == "x86-64-v3")
    #expect(set(v3 + " avx512f") == "x86-64-v3")
    #expect(set(v3 + " avx512f avx512bw avx512cd avx512dq avx512vl") == "x86-64-v4")
    #expect(set("avx512f avx512bw avx512cd avx512dq avx512vl") == "x86-64")
    let arm = RunEnvironment.Processor(
      information: "Features\t: fp asimd bf16\n", architecture: "aarch64", cores: 4)
    #expect(arm.instructionSet == "aarch64" && arm.hasBFloat16)
    #expect(arm.name.isEmpty)
    func name(_ implementer: String, _ part: String) -> String {
      RunEnvironment.Processor(
        information: "CPU implementer\t: \(implementer)\nCPU part\t: \(part)\n",
        architecture: "aarch64", cores: 1
      ).name
    }
    #expect(name("0x41", "0xd40") == "Neoverse-V1")
    #expect(name("0x41", "0xfff") == "Arm 0xfff")
    #expect(name("0x99", "0x001") == "Arm processor of 0x99 0x001")
  }
}
