import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Foundations

/// Tests that start real jobs of `rfm`. One job runs at a time: each may have more ranks than the
/// machine has cores.
@Suite(.serialized) struct Jobs {}

/// A folder that goes with its owner.
final class TestFolder: Sendable {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appending(
      path: "rfm-jobs-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  /// What is in a folder inside, hidden things included, sorted; empty if there is no such folder.
  func names(_ folder: String = "") -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: file(folder))) ?? []).sorted()
  }

  /// Every file and folder inside, at any depth.
  var everything: [String] {
    ((try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []).sorted()
  }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(filePath: file(name)))
  }
}

func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }

func json(_ path: String) throws -> JSON { try JSON(parsing: bytes(path)) }

extension TestFolder {
  /// A shard of noise; methods are "real" and "blend".
  func shard(_ name: String, methods: [Int], side: Int = 64) throws -> String {
    let path = file(name)
    let writer = try ShardWriter(
      path: path, height: side, width: side, methodNames: ["real", "blend"])
    for (row, method) in methods.enumerated() {
      let image = (0..<side * side * 3).map { UInt8(truncatingIfNeeded: $0 &* (31 + row)) }
      try image.withUnsafeBufferPointer {
        try writer.append(image: $0, method: method, source: "video-\(row)")
      }
    }
    try writer.finish()
    return path
  }
}

/// Changes one byte among the pixels of a row, where no opening of the file looks.
func damagePixels(of path: String, row: Int) throws {
  let shard = try Shard(reading: path)
  var image = [UInt8](repeating: 0, count: shard.imageSize)
  try image.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
  shard.close()
  let place = try #require(
    try Data(contentsOf: URL(filePath: path)).range(of: Data(image))?.lowerBound)
  try damage(path, at: place + image.count / 2)
}

/// Data that all tests share: 80 made-up faces of 64 pixels, in shards of at most 14.
enum SharedData {
  struct Failure: Error, CustomStringConvertible { var description: String }

  private static let made = Result { () throws -> TestFolder in
    let folder = try TestFolder()
    remove = folder.path
    atexit {
      if let path = SharedData.remove { try? FileManager.default.removeItem(atPath: path) }
    }
    let outcome = try Job.run(
      "rfm",
      [
        "synthesize", "--output", folder.path, "--images-per-class", "40", "--size", "64",
        "--images-per-shard", "14",
      ])
    guard outcome.succeeded else { throw Failure(description: "\(outcome)") }
    return folder
  }
  nonisolated(unsafe) private static var remove: String?

  static var folder: String { get throws { try made.get().path } }
  static var train: String { get throws { try folder + "/train-*.h5" } }
  static var validation: String { get throws { try folder + "/validation-*.h5" } }
  static var test: String { get throws { try folder + "/test-*.h5" } }
}

/// Runs of a tiny detector below a folder.
struct TinyRuns {
  let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// Arguments of a training; later settings win over earlier ones.
  func arguments(_ name: String, _ settings: [String] = []) throws -> [String] {
    let configuration = folder.file("config.yaml")
    if !FileManager.default.fileExists(atPath: configuration) {
      try folder.write(
        """
        run: {directory: \(folder.file("runs"))}
        data:
          train: "\(try SharedData.train)"
          validation: "\(try SharedData.validation)"
          crop: 40
        model: {name: xception-tiny}
        augmentation: {probability: 1}
        training:
          steps: 8
          batch_per_rank: 4
          threads: 1
          optimizer: {learning_rate: 0.001}
        checkpoint: {every_steps: 4}
        prototypes: {images_per_method: 2}

        """, to: "config.yaml")
    }
    return ["train", "--config", configuration]
      + (["run.name=\(name)"] + settings).flatMap { ["--set", $0] }
  }

  func train(
    _ name: String, _ settings: [String] = [], ranks: Int? = 1, more: [String] = [],
    timeLimit: Double = 240
  ) throws -> Job.Outcome {
    try Job.run("rfm", arguments(name, settings) + more, ranks: ranks, timeLimit: timeLimit)
  }

  func path(_ name: String) -> String { folder.file("runs/\(name)") }

  /// A file of the newest checkpoint.
  func latest(_ name: String, _ file: String) -> String {
    path(name) + "/checkpoints/latest/" + file
  }

  /// Lines of `metrics.jsonl` that tell of a training step.
  func steps(_ name: String) throws -> [JSON] {
    try MetricsFile.read(path(name) + "/metrics.jsonl").filter { $0["loss"]?.doubleValue != nil }
  }

  /// Whether a training under way has done so many steps and would go on from a checkpoint.
  ///
  /// Steps alone do not tell: a checkpoint is written while the training goes on, and on a slow disk
  /// the training may be at the next one before it is there.
  func canResume(_ name: String, at step: Int) -> Bool {
    FileManager.default.fileExists(atPath: path(name) + "/checkpoints/latest")
      && ((try? steps(name).count) ?? 0) >= step
  }

  func losses(_ name: String) throws -> [Double] {
    try steps(name).map { try #require($0["loss"]?.doubleValue) }
  }

  /// Whether two runs ended with the same bytes of weights, running statistics and moments.
  func endedAlike(_ a: String, _ b: String) throws -> Bool {
    try ["model.safetensors", "optimizer.safetensors"].allSatisfy {
      try bytes(latest(a, $0)) == bytes(latest(b, $0))
    }
  }

  /// A checkpoint of a few steps, made when it is first asked for.
  static let checkpoint = Result { () throws -> (runs: TinyRuns, path: String) in
    let runs = try TinyRuns()
    cleanUp = runs.folder.path
    atexit {
      if let path = TinyRuns.cleanUp { try? FileManager.default.removeItem(atPath: path) }
    }
    let outcome = try runs.train("tiny")
    guard outcome.succeeded else { throw SharedData.Failure(description: "\(outcome)") }
    return (runs, runs.path("tiny") + "/checkpoints/latest")
  }
  nonisolated(unsafe) private static var cleanUp: String?
}

/// Two ranks that see different disks.
enum RankFolders {
  /// Runs rfm on two ranks, each in the folder `rank0` or `rank1` below `folder`.
  static func run(_ folder: String, _ arguments: [String]) throws -> Job.Outcome {
    try Job.run(
      "/bin/sh",
      [
        "-c", "cd \"$0/rank$OMPI_COMM_WORLD_RANK\" && exec \"$@\"", folder, Job.product("rfm"),
      ] + arguments, ranks: 2)
  }
}

extension Job.Outcome {
  /// The program's own lines of error without the rank in them, each once: ranks that fail alike may
  /// all say so.
  var complaints: Set<String> {
    Set(
      lines(from: "rfm").map {
        $0.replacing(/^rfm: (rank \d+: )?/, with: "")
      })
  }

  /// That the job ended by itself with this status, said why in one line with all these words in
  /// it, and left no process.
  func isRefusal(_ status: Int32, _ words: String...) -> Bool {
    guard self.status == status, !timedOut, leftovers.isEmpty, complaints.count == 1,
      let line = complaints.first
    else { return false }
    return words.allSatisfy { line.contains($0) }
  }
}
