import Foundation
import Testing

@testable import Foundations
@testable import Networks

/// Networks that are tried on real jobs: two, which have most kinds of layers between them, or all of
/// them where `RFM_TEST_NETWORKS` is set (`launch/test --networks`).
enum TriedNetworks {
  static let names: [DetectorName] =
    ProcessInfo.processInfo.environment["RFM_TEST_NETWORKS"] == nil
    ? [.resnet18, .convnextTiny] : DetectorName.allCases
}

/// Larger faces, for the networks that take one crop alone.
private enum LargeData {
  private static let made = Result { () throws -> TestFolder in
    let folder = try TestFolder()
    remove = folder.path
    atexit {
      if let path = LargeData.remove { try? FileManager.default.removeItem(atPath: path) }
    }
    let outcome = try Job.run(
      "rfm",
      ["synthesize", "--output", folder.path, "--images-per-class", "20", "--size", "256"])
    guard outcome.succeeded else { throw SharedData.Failure(description: "\(outcome)") }
    return folder
  }
  nonisolated(unsafe) private static var remove: String?

  static func shards(_ split: String) throws -> String { try made.get().file("\(split)-*.h5") }
}

extension Jobs {
  /// Every network does what the first one does.
  @Suite struct EveryNetwork {
    private let runs: TinyRuns

    init() throws { runs = try TinyRuns() }

    private func settings(_ name: DetectorName) throws -> [String] {
      var settings = [
        "model.name=\(name.rawValue)", "training.optimizer.learning_rate=0.0002",
        "run.report=false", "augmentation.method=sfe",
      ]
      if !name.crops.contains(40) {
        settings += [
          "data.crop=\(name.usualCrop)", "data.train=\(try LargeData.shards("train"))",
          "data.validation=\(try LargeData.shards("validation"))",
        ]
      }
      return settings
    }

    /// The two logits of every row of a `scores.csv`.
    private func logits(_ name: String) throws -> [Double] {
      let text = String(decoding: try bytes(runs.folder.file(name)), as: UTF8.self)
      return try text.split(separator: "\n").dropFirst().flatMap { row in
        try row.split(separator: ",", omittingEmptySubsequences: false)[5...6].map {
          try #require(Double($0))
        }
      }
    }

    private func test(_ name: DetectorName) throws -> String {
      try name.crops.contains(40) ? SharedData.test : LargeData.shards("test")
    }

    /// The same global batch, whoever has its parts.
    @Test(arguments: TriedNetworks.names)
    func theSameGlobalBatchGivesTheSameLosses(name: DetectorName) throws {
      var losses: [[Double]] = []
      for ranks in [1, 2, 4] {
        let outcome = try runs.train(
          "on-\(ranks)",
          try settings(name) + [
            "training.steps=3", "training.batch_norm=synchronized",
            "training.batch_per_rank=\(4 / ranks)", "data.validation=null",
          ], ranks: ranks, timeLimit: 400)
        #expect(outcome.succeeded, "\(outcome)")
        losses.append(try runs.losses("on-\(ranks)"))
      }
      #expect(losses[0].count == 3)
      for other in losses.dropFirst() {
        #expect(other.count == 3)
        for (a, b) in zip(losses[0], other) { #expect(abs(a - b) <= 1e-6 * abs(a)) }
      }
    }

    /// Stopped after two steps and gone on with, it ends with the bits of one that was not; what it
    /// has learned is evaluated, mined and named on one rank and on two.
    @Test(arguments: TriedNetworks.names)
    func everyCommandTakesWhatItHasLearned(name: DetectorName) throws {
      let settings = try settings(name) + ["training.batch_per_rank=2", "checkpoint.every_steps=2"]
      for (run, steps, more) in [("cut", 2, []), ("cut", 4, ["--resume"]), ("whole", 4, [])] {
        let outcome = try runs.train(
          run, settings + ["training.steps=\(steps)"], ranks: 2, more: more, timeLimit: 400)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.endedAlike("cut", "whole"))
      let checkpoint = runs.path("cut") + "/checkpoints/latest"
      let data = try test(name)
      func run(_ command: String, _ arguments: [String], ranks: Int? = nil) throws -> Job.Outcome {
        try Job.run(
          "rfm", [command, "--checkpoint", checkpoint, "--threads", "1"] + arguments, ranks: ranks,
          directory: runs.folder.path, timeLimit: 400)
      }
      for ranks in [1, 2] {
        let outcome = try run(
          "evaluate", ["--data", data, "--output", "scores-\(ranks)"], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
      }
      let logits = try (1...2).map { try self.logits("scores-\($0)/scores.csv") }
      #expect(logits[0].count > 4 && logits[0].count == logits[1].count)
      // Of which others an image is taken through the network with decides how its sums are rounded.
      for (a, b) in zip(logits[0], logits[1]) { #expect(abs(a - b) <= 1e-5 * max(1, abs(a))) }

      let maps = try run("attention", ["--data", data, "--kind", "cam", "--output", "cam.h5"])
      if name.hasActivationMaps {
        #expect(maps.succeeded, "\(maps)")
      } else {
        #expect(maps.isRefusal(64, name.rawValue, "no class activation maps"), "\(maps)")
      }
      let prototypes = try run(
        "prototypes", ["--data", data, "--output", "prototypes.h5"], ranks: 2)
      #expect(prototypes.succeeded, "\(prototypes)")
      let named = try run(
        "attribute",
        ["--prototypes", "prototypes.h5", "--data", data, "--output", "named"])
      #expect(named.succeeded, "\(named)")

      let picture = runs.folder.file("face.png")
      let image = PNGFile.encode(
        width: 64, height: 64, color: .rgb, depth: 8,
        samples: (0..<64 * 64 * 3).map { UInt8(truncatingIfNeeded: $0 &* 31) })
      try Data(image).write(to: URL(filePath: picture))
      let explained = try run("explain", ["--output", "explained", picture])
      #expect(explained.succeeded, "\(explained)")
      let verdict = try JSON(
        parsing: explained.standardOutput.split(separator: "\n").first.map { Array($0.utf8) } ?? [])
      let probability = try #require(verdict["probability_fake"]?.doubleValue, "\(explained)")
      #expect(probability > 0 && probability < 1)
    }
  }
}
