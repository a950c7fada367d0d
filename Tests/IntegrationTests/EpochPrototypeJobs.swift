import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import ForgeryMining

extension Jobs {
  /// Prototypes that a training gathers on the way.
  @Suite struct EpochPrototypeRuns {
    private func epoch(_ runs: TinyRuns, _ name: String) throws -> EpochPrototypes {
      try #require(try PrototypesFile(reading: runs.latest(name, "prototypes.h5")).epoch)
    }

    /// One step over all training images, uncropped: its maps are those that `rfm prototypes` makes
    /// with the weights before the step. Of a network without kinks: where other batches add up in other
    /// orders, a map of one with ReLU or max pooling may jump.
    @Test(arguments: [1, 2]) func overTheSameImagesTheyAreTheExactOnes(ranks: Int) throws {
      let runs = try TinyRuns()
      let model = "efficientnet-b0"
      let first = try runs.train(
        "start", ["training.steps=2", "data.crop=64", "model.name=\(model)"])
      #expect(first.succeeded, "\(first)")
      let weights = runs.latest("start", "model.safetensors")
      let set = try ShardSet(patterns: [SharedData.train])
      let outcome = try runs.train(
        "whole",
        [
          "training.steps=1", "data.crop=64", "model.name=\(model)", "data.flip=false",
          "data.order=sequential",
          "data.validation=null", "training.batch_per_rank=\(set.count / ranks)",
          "model.weights=\(weights)",
        ], ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      let file = runs.folder.file("exact.h5")
      let exact = try Job.run(
        "rfm",
        [
          "prototypes", "--checkpoint", weights, "--model", model, "--crop", "64",
          "--data", SharedData.train, "--images-per-method", "1000", "--output", file,
        ])
      #expect(exact.succeeded, "\(exact)")
      let expected = try PrototypesFile(reading: file).prototypes
      let gathered = try epoch(runs, "whole").prototypes
      #expect(gathered.methods == expected.methods && !expected.methods.isEmpty)
      #expect(gathered.counts == expected.counts)
      let difference = zip(gathered.maps, expected.maps).map { abs($0 - $1) }.max()
      #expect(try #require(difference) < 1e-5)

      let inspected = try Job.run("rfm", ["inspect", runs.latest("whole", "prototypes.h5")])
      #expect(inspected.succeeded, "\(inspected)")
      #expect(
        inspected.standardOutput.contains("prototypes of training images in epoch 0, 64x64"),
        "\(inspected)")
    }

    /// Ranks with shards of their own have parts of unequal size, and the smaller ones come round again
    /// before the epoch is over.
    @Test(arguments: [2, 3]) func whereRanksHaveUnequalPartsEveryImageCountsOnceAnEpoch(
      ranks: Int
    ) throws {
      let set = try ShardSet(patterns: [SharedData.train])
      // The largest shards first, each to the rank that has least.
      var parts = [Int](repeating: 0, count: ranks)
      for size in set.shards.map(\.count).sorted(by: >) {
        parts[parts.indices.min { parts[$0] < parts[$1] }!] += size
      }
      let longest = parts.max()!
      #expect(longest % 4 == 0 && longest > parts.min()!, "\(parts)")

      let runs = try TinyRuns()
      let outcome = try runs.train(
        "parts",
        [
          "data.assignment=shard", "data.sampling=uniform", "data.validation=null",
          "training.steps=\(longest / 2)", "checkpoint.every_steps=\(longest / 4)",
        ], ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      let methods = Set(set.methods).subtracting([0]).sorted()
      for (number, step) in [longest / 4, longest / 2].enumerated() {
        let name = String(format: "step-%08d", step)
        let file = runs.path("parts") + "/checkpoints/\(name)/prototypes.h5"
        let epoch = try #require(try PrototypesFile(reading: file).epoch)
        #expect(epoch.epoch == number)
        #expect(epoch.methods == methods.map { set.methodNames[Int($0)] })
        #expect(epoch.counts == methods.map { method in Int64(set.methods.count { $0 == method }) })
      }
    }

    /// With random crops, in the middle of the second epoch: sums, coverage and counts are the same.
    @Test func aContinuedTrainingGathersTheSame() throws {
      let runs = try TinyRuns()
      let settings = ["training.steps=11", "checkpoint.every_steps=5"]
      for name in ["whole", "broken"] {
        let outcome = try runs.train(name, settings, ranks: 2)
        #expect(outcome.succeeded, "\(outcome)")
      }
      try damage(runs.path("broken") + "/checkpoints/step-00000011/state.json", at: 40)
      let again = try runs.train("broken", settings, ranks: 2, more: ["--resume"])
      #expect(again.succeeded, "\(again)")
      #expect(again.standardError.contains("continuing from step 10"), "\(again)")
      let whole = try epoch(runs, "whole")
      #expect(try epoch(runs, "broken") == whole)
      // 8 images a step, half of them fake; the epoch is 60 images, so the second begins with step 9.
      #expect(whole.epoch == 1 && whole.counts.reduce(0, +) == 3 * 4)
      let reached = whole.coverage
      #expect(try #require(reached.max()) <= #require(whole.counts.max()))
      #expect(try #require(reached.min()) < #require(reached.max()))
    }
  }
}
