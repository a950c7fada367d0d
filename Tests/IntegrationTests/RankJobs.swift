import Foundation
import Testing

@testable import Configuration
@testable import FaceShards

extension Jobs {
  /// What does and does not depend on the number of ranks.
  @Suite struct Ranks {
    /// A level of flooding about where losses are.
    private static let level = 0.66

    private static let settings = [
      "training.steps=24", "training.batch_norm=synchronized", "augmentation.method=sfe",
      "communication.digest_every_steps=6",
      "communication.bucket_megabytes=0.05",
    ]

    /// Equal to float32 rounding.
    private func haveSameLosses(_ runs: TinyRuns, _ a: String, _ b: String) throws -> Bool {
      let (first, second) = try (runs.losses(a), runs.losses(b))
      return !first.isEmpty && first.count == second.count
        && zip(first, second).allSatisfy { abs($0 - $1) <= 1e-6 * abs($0) }
    }

    /// Promised are equal losses to float32 rounding. They come out equal to about 1e-15, and the
    /// weights bitwise, since all sums over a batch are taken in double precision or per image.
    @Test func theSameGlobalBatchGivesTheSameLossesOnOneTwoAndFourRanks() throws {
      let runs = try TinyRuns()
      let plain = try runs.train("plain", Self.settings + ["training.batch_per_rank=8"])
      #expect(plain.succeeded, "\(plain)")
      // In the midst of the losses, so that the sign turns again and again.
      let level = try runs.losses("plain").sorted()[12]
      for ranks in [1, 2, 4] {
        let outcome = try runs.train(
          "on-\(ranks)",
          Self.settings + [
            "training.batch_per_rank=\(8 / ranks)", "training.flooding=\(level)",
          ], ranks: ranks, timeLimit: 400)
        #expect(outcome.succeeded, "\(outcome)")
      }
      let losses = try runs.losses("on-1")
      #expect(losses.count == 24)
      #expect(losses.contains { $0 < level } && losses.contains { $0 > level })
      for ranks in [2, 4] {
        let others = try runs.losses("on-\(ranks)")
        #expect(others.count == 24)
        for (step, (a, b)) in zip(losses, others).enumerated() {
          #expect(abs(a - b) <= 1e-6 * abs(a), "step \(step + 1) on \(ranks) ranks")
        }
        let drawn = try [1, ranks].map { count in
          let state = try json(runs.latest("on-\(count)", "state.json"))
          return [state["epoch"]?.integerValue, state["position"]?.integerValue]
        }
        #expect(drawn[0] == drawn[1])
      }
    }

    /// In the midst of both ramps, on any number of ranks and in parts.
    @Test func aRampIsTheSameOnOneAndTwoRanksAndGoesOn() throws {
      let runs = try TinyRuns()
      let settings = [
        "augmentation.ramp=6", "augmentation.size_ramp=7", "training.batch_norm=synchronized",
      ]
      for ranks in [1, 2] {
        let outcome = try runs.train(
          "on-\(ranks)", settings + ["training.batch_per_rank=\(4 / ranks)"], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try haveSameLosses(runs, "on-1", "on-2"))
      for (steps, more) in [(3, []), (8, ["--resume"])] {
        let outcome = try runs.train("in-parts", settings + ["training.steps=\(steps)"], more: more)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.endedAlike("in-parts", "on-1"))
      let plain = try runs.train("plain", ["training.batch_norm=synchronized"])
      #expect(plain.succeeded, "\(plain)")
      #expect(try runs.losses("plain") != runs.losses("on-1"))
    }

    /// With every augmentation on; a training that was ended and goes on too.
    @Test func augmentedTheTrainingIsTheSameOnOneTwoAndFourRanks() throws {
      let runs = try TinyRuns()
      let names = Configuration.keys.map(\.path).filter {
        $0.hasPrefix("augmentation.") && $0.hasSuffix(".probability")
      }
      #expect(names.count == 15)
      let settings =
        names.map { "\($0)=0.5" } + ["data.self_blended=0.5", "training.batch_norm=synchronized"]
      for ranks in [1, 2, 4] {
        let outcome = try runs.train(
          "on-\(ranks)", settings + ["training.batch_per_rank=\(8 / ranks)"], ranks: ranks,
          timeLimit: 400)
        #expect(outcome.succeeded, "\(outcome)")
        #expect(try haveSameLosses(runs, "on-\(ranks)", "on-1"), "\(ranks) ranks")
      }
      for (steps, more) in [(3, []), (8, ["--resume"])] {
        let outcome = try runs.train(
          "in-parts", settings + ["training.batch_per_rank=4", "training.steps=\(steps)"],
          ranks: 2, more: more)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.endedAlike("in-parts", "on-2"))
      // And it is another training than without.
      let plain = try runs.train(
        "plain", ["training.batch_per_rank=8", "training.batch_norm=synchronized"])
      #expect(plain.succeeded, "\(plain)")
      #expect(try runs.losses("plain").first != runs.losses("on-1").first)
    }

    /// What is left out belongs to the sample, and so is the same on any number of ranks, and after a
    /// training was ended and went on.
    @Test(arguments: ["xception-tiny", "mobilenet-v2"])
    func whatIsLeftOutIsTheSameOnOneAndTwoRanks(model: String) throws {
      let runs = try TinyRuns()
      let settings =
        [
          "model.name=\(model)", "data.crop=64", "model.dropout=0.4",
          "training.label_smoothing=0.1", "training.batch_norm=synchronized",
          "training.flooding=\(Self.level)",
        ] + (model == "mobilenet-v2" ? ["model.drop_path=0.5"] : [])
      for ranks in [1, 2] {
        let outcome = try runs.train(
          "on-\(ranks)", settings + ["training.batch_per_rank=\(4 / ranks)"], ranks: ranks,
          timeLimit: 400)
        #expect(outcome.succeeded, "\(outcome)")
      }
      let losses = try runs.losses("on-1")
      #expect(losses.count == 8)
      for (a, b) in zip(losses, try runs.losses("on-2")) { #expect(abs(a - b) <= 1e-6 * abs(a)) }

      // Half of it, then the rest.
      let schedule = ["training.batch_per_rank=2", "checkpoint.every_steps=4"]
      for (steps, more) in [(4, []), (8, ["--resume"])] {
        let outcome = try runs.train(
          "in-parts", settings + schedule + ["training.steps=\(steps)"], ranks: 2, more: more,
          timeLimit: 400)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.losses("in-parts") == runs.losses("on-2"))
      // And it is another training than without.
      let plain = try runs.train(
        "plain", ["model.name=\(model)", "data.crop=64", "training.batch_norm=synchronized"],
        timeLimit: 400)
      #expect(plain.succeeded, "\(plain)")
      #expect(try runs.losses("plain").first != losses.first)
    }

    /// A patch detector trains alike on one and two ranks and in parts, and its checkpoint says all that
    /// is needed to use it.
    @Test func aPatchDetectorIsTheSameOnOneAndTwoRanks() throws {
      let runs = try TinyRuns()
      let settings = [
        "model.truncate=block2", "model.head=patch", "data.crop=64", "augmentation.method=ae",
        "training.batch_norm=synchronized", "training.flooding=\(Self.level)",
      ]
      for ranks in [1, 2] {
        let outcome = try runs.train(
          "on-\(ranks)", settings + ["training.batch_per_rank=\(4 / ranks)"], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
      }
      let losses = try runs.losses("on-1")
      #expect(losses.count == 8)
      for (a, b) in zip(losses, try runs.losses("on-2")) { #expect(abs(a - b) <= 1e-6 * abs(a)) }
      for (steps, more) in [(4, []), (8, ["--resume"])] {
        let outcome = try runs.train(
          "in-parts", settings + ["training.batch_per_rank=2", "training.steps=\(steps)"],
          ranks: 2, more: more)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.losses("in-parts") == runs.losses("on-2"))

      // The checkpoint and its bare weights need no option, and say the same of the images.
      let folder = runs.path("on-1") + "/checkpoints/latest"
      let bare = runs.folder.file("bare.safetensors")
      try FileManager.default.copyItem(atPath: "\(folder)/model.safetensors", toPath: bare)
      var told: [String] = []
      for (place, source) in [folder, bare].enumerated() {
        let output = runs.folder.file("scores-\(place)")
        let outcome = try Job.run(
          "rfm",
          [
            "evaluate", "--checkpoint", source, "--data", try SharedData.validation, "--output",
            output,
          ], ranks: 1)
        #expect(outcome.succeeded, "\(outcome)")
        told.append(try String(contentsOfFile: "\(output)/scores.csv", encoding: .utf8))
      }
      #expect(told[0] == told[1] && told[0].contains(",0.0,"))
      for command in [
        [
          "prototypes", "--checkpoint", folder, "--data", try SharedData.validation, "--output",
          runs.folder.file("prototypes.h5"), "--images-per-method", "2",
        ],
        [
          "attention", "--checkpoint", folder, "--data", try SharedData.validation, "--output",
          runs.folder.file("maps.h5"), "--kind", "cam",
        ],
        ["inspect", bare],
      ] {
        let outcome = try Job.run("rfm", command, ranks: 1)
        #expect(outcome.succeeded, "\(outcome)")
        if command[0] == "inspect" {
          #expect(
            outcome.standardOutput.contains(
              "weights of xception-tiny up to block2 with a patch head"), "\(outcome)")
        }
      }
      let other = try Job.run(
        "rfm",
        [
          "evaluate", "--checkpoint", folder, "--truncate", "block3", "--data",
          try SharedData.validation, "--output", runs.folder.file("other"),
        ], ranks: 1)
      #expect(other.status == 64, "\(other)")
      #expect(other.standardError.contains("--truncate block3 contradicts"), "\(other)")
    }

    @Test func accumulationTakesTheSamplesOfALargerBatch() throws {
      let runs = try TinyRuns()
      for (name, batch, parts) in [("whole", 8, 1), ("parts", 4, 2)] {
        let outcome = try runs.train(
          name, ["training.batch_per_rank=\(batch)", "training.accumulate=\(parts)"], ranks: 2)
        #expect(outcome.succeeded, "\(outcome)")
      }
      for key in ["epoch", "position"] {
        let values = try ["whole", "parts"].map { try json(runs.latest($0, "state.json"))[key] }
        #expect(values[0]?.integerValue != nil && values[0] == values[1])
      }
    }

    /// Gradients that are added in memory and by messages have the same bits, and so have the weights.
    @Test(arguments: [2, 3]) func sharedMemoryAndMessagesGiveTheSameWeights(ranks: Int) throws {
      let runs = try TinyRuns()
      var weights: [[UInt8]] = []
      for inMemory in [true, false] {
        let outcome = try runs.train(
          "memory-\(inMemory)",
          ["training.batch_norm=local", "communication.host_memory=\(inMemory)"], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
        weights.append(try bytes(runs.latest("memory-\(inMemory)", "model.safetensors")))
      }
      #expect(weights[0].count > 100_000)
      #expect(weights[0] == weights[1])
    }

    @Test(arguments: [1, 2, 4]) func eachRanksOwnBatchStatisticsTrainToTheEnd(ranks: Int) throws {
      let runs = try TinyRuns()
      let outcome = try runs.train(
        "local", ["training.batch_norm=local", "communication.digest_every_steps=2"], ranks: ranks)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(try runs.losses("local").count == 8)
      #expect(runs.folder.names("runs/local/checkpoints").contains("step-00000008"))
    }

    @Test(arguments: ["none", "re", "ae"]) func everyMethodOfErasingTrainsAlikeOnTwoRanks(
      method: String
    ) throws {
      let runs = try TinyRuns()
      for ranks in [1, 2] {
        let outcome = try runs.train(
          "on-\(ranks)",
          [
            "augmentation.method=\(method)", "training.batch_norm=synchronized",
            "training.batch_per_rank=\(4 / ranks)",
          ], ranks: ranks)
        #expect(outcome.succeeded, "\(outcome)")
      }
      for (a, b) in zip(try runs.losses("on-1"), try runs.losses("on-2")) {
        #expect(abs(a - b) <= 1e-6 * abs(a))
      }
    }

    @Test func ranksThatReadTheirOwnShardsOnlyTrainToTheEnd() throws {
      let runs = try TinyRuns()
      let job = try Job(
        "rfm", runs.arguments("own", ["data.assignment=shard", "training.steps=40"]), ranks: 2)
      let metrics = runs.path("own") + "/metrics.jsonl"
      #expect(job.wait(until: { _ in (try? bytes(metrics).isEmpty) == false }), "\(job.wait())")
      // While it trains every shard is open in one rank alone.
      let first = job.openFiles(rank: 0, "/train-")
      let second = job.openFiles(rank: 1, "/train-")
      let outcome = job.wait()
      #expect(outcome.succeeded, "\(outcome)")
      #expect(try runs.losses("own").count == 40)
      #expect(
        !first.isEmpty && !second.isEmpty && first.isDisjoint(with: second), "\(first), \(second)")
      #expect(first.union(second) == Set(try FilePattern.expand([SharedData.train])))
    }

    /// One rank has a shard, the other all the rest: without an epoch in common one would end before
    /// the other, with other learning rates on the way.
    @Test func ranksWithShardsOfUnequalSizeAgreeOnEpochs() throws {
      let runs = try TinyRuns()
      let shards = try FilePattern.expand([SharedData.train])
      for (rank, mine) in [shards.prefix(1), shards.dropFirst()].enumerated() {
        let folder = runs.folder.file("rank\(rank)")
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: false)
        for (index, shard) in mine.enumerated() {
          try FileManager.default.copyItem(
            atPath: shard, toPath: "\(folder)/own-\(rank)-\(index).h5")
        }
      }
      let outcome = try RankFolders.run(
        runs.folder.path,
        runs.arguments(
          "unequal",
          [
            "data.train=own-*.h5", "data.assignment=shard", "data.sampling=uniform",
            "training.epochs=2", "training.schedule.name=cosine",
            "communication.digest_every_steps=1", "communication.watchdog_seconds=20",
          ]))
      #expect(outcome.succeeded, "\(outcome)")
      let most = try shards.dropFirst().map { try Shard(reading: $0).count }.reduce(0, +)
      let steps = try runs.steps("unequal")
      #expect(steps.count == 2 * (most / 4))
      // The second epoch begins in the last step of the first or after it.
      #expect(steps.first?["epoch"] == 0 && steps.last?["epoch"]?.integerValue == 1)
    }

    @Test func sequentialOrderWithoutFlipsIsReproducible() throws {
      let runs = try TinyRuns()
      for name in ["first", "second"] {
        let outcome = try runs.train(
          name, ["data.order=sequential", "data.flip=false", "data.crop=64"], ranks: 2)
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.losses("first") == runs.losses("second"))
      #expect(try runs.endedAlike("first", "second"))
    }

    @Test func anotherSeedIsAnotherTraining() throws {
      let runs = try TinyRuns()
      for seed in [1, 2] {
        let outcome = try runs.train("seed-\(seed)", ["run.seed=\(seed)"])
        #expect(outcome.succeeded, "\(outcome)")
      }
      #expect(try runs.losses("seed-1") != runs.losses("seed-2"))
    }
  }
}
