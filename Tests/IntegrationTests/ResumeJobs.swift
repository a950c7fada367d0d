import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Foundations
@testable import rfm

extension Jobs {
  /// A training that was ended at any moment goes on as if nothing had happened.
  @Suite struct Resume {
    private static let ranks = 2
    /// Long enough behind the latest moment of an interruption that it is not over when the signal comes.
    private static let steps = 140
    private static let settings = ["training.steps=\(steps)", "checkpoint.every_steps=7"]
    private static let name = "run"

    /// The same training, never interrupted.
    private static let whole = Result { () throws -> [[UInt8]] in
      let runs = try TinyRuns()
      let outcome = try runs.train(name, settings, ranks: ranks)
      guard outcome.succeeded else { throw SharedData.Failure(description: "\(outcome)") }
      return try result(runs)
    }

    /// Bytes of weights, running statistics and moments.
    private static func result(_ runs: TinyRuns) throws -> [[UInt8]] {
      try ["model.safetensors", "optimizer.safetensors"].map { try bytes(runs.latest(name, $0)) }
    }

    /// Starts the training, sends a signal at a step drawn by chance, and returns how it ended.
    private func interrupted(
      _ runs: TinyRuns, by signal: Int32, to ranks: [Int]
    ) throws -> Job.Outcome {
      let moment = Int.random(in: 8...30)
      let job = try Job(
        "rfm", runs.arguments(Self.name, Self.settings), ranks: Self.ranks, timeLimit: 240)
      let isThere = job.wait(until: { _ in runs.canResume(Self.name, at: moment) })
      #expect(isThere, "\(job.wait())")
      let processes = job.ranks()
      #expect(processes.count == Self.ranks)
      // Several times, since what a signal meets on its way is a matter of luck.
      for _ in 0..<(signal == SIGKILL ? 1 : 300) {
        for (rank, process) in processes where ranks.contains(rank) { kill(process, signal) }
        usleep(100)
      }
      return job.wait()
    }

    /// How bfloat16 is multiplied is measured where a run begins, and stays, also where only the checkpoint tells.
    @Test func bfloat16IsMultipliedAsTheRunBegan() throws {
      let precision = ["attention", "training"].map { "training.precision.\($0)=bfloat16" }
      let runs = try TinyRuns()
      func way(_ name: String) throws -> String? {
        try json(runs.path(name) + "/environment.json")["versions"]?["bfloat16_multiply"]?.textValue
      }
      let measured = "bfloat16 is multiplied as "
      let begun = try runs.train("parts", precision + ["training.steps=4"], ranks: 2)
      #expect(begun.succeeded && begun.standardError.contains(measured), "\(begun)")
      let first = try #require(try way("parts"))
      unlink(runs.path("parts") + "/environment.json")
      let ended = try runs.train("parts", precision, ranks: 2, more: ["--resume"])
      #expect(ended.succeeded && !ended.standardError.contains(measured), "\(ended)")
      #expect(try way("parts") == first)
      let fixed = try runs.train(
        "whole", precision + ["training.multiply.bfloat16=\(first)"], ranks: 2)
      #expect(fixed.succeeded && !fixed.standardError.contains(measured), "\(fixed)")
      #expect(try way("whole") == first)
      for file in ["model.safetensors", "optimizer.safetensors"] {
        let isTheSame = try bytes(runs.latest("parts", file)) == bytes(runs.latest("whole", file))
        #expect(isTheSame, "\(file)")
      }
      let isSaid = begun.standardError.contains("\(measured)\(first): ")
      #expect(isSaid, "\(begun)")
    }

    /// A checkpoint tells by itself how its run multiplies: what would be measured does not count.
    @Test func float32IsMultipliedAsTheCheckpointTells() throws {
      let runs = try TinyRuns()
      let key = "training.multiply.float32"
      let openblas = ["\(key)=openblas"]
      #expect(try runs.train("parts", openblas + ["training.steps=4"]).succeeded)
      unlink(runs.path("parts") + "/environment.json")
      let ended = try runs.train(
        "parts", ["\(key)=measured"], more: ["--resume", "--force", key])
      let isMeasured = ended.standardError.contains("float32 is multiplied by ")
      #expect(ended.succeeded && !isMeasured, "\(ended)")
      #expect(try runs.train("whole", openblas).succeeded)
      let models = try ["parts", "whole"].map { try bytes(runs.latest($0, "model.safetensors")) }
      let isTheSame = models[0] == models[1]
      #expect(isTheSame)
      let state = try json(runs.latest("parts", "state.json"))
      #expect(state["details"]?["float32_multiply"]?.textValue == "OpenBLAS")
    }

    /// What is measured where a run begins is said and written down.
    @Test func float32IsMeasuredWhereThatIsAsked() throws {
      let runs = try TinyRuns()
      let outcome = try runs.train("run", ["training.multiply.float32=measured"], ranks: 2)
      let environment = try json(runs.path("run") + "/environment.json")
      let library = try #require(environment["versions"]?["float32_multiply"]?.textValue)
      let line = "float32 is multiplied by \(library): oneDNN "
      #expect(outcome.succeeded && outcome.standardError.contains(line), "\(outcome)")
      let state = try json(runs.latest("run", "state.json"))
      #expect(state["details"]?["float32_multiply"]?.textValue == library)
    }

    private func resume(_ runs: TinyRuns) throws {
      let outcome = try runs.train(Self.name, Self.settings, ranks: Self.ranks, more: ["--resume"])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(outcome.standardError.contains("continuing "), "\(outcome)")
      let isTheSame = try Self.result(runs) == Self.whole.get()
      #expect(isTheSame, "other weights or moments than without the interruption")
      let steps = try runs.steps(Self.name).map { $0["step"]?.integerValue }
      #expect(steps == Array(1...Self.steps), "each step is told once")
      let left = runs.folder.everything.filter { $0.hasSuffix(".partial") }
      #expect(left.isEmpty, "\(left)")
    }

    @Test(arguments: [[0, 1], [0], [1]]) func killedAtAnyMomentItEndsWithTheSameBits(
      ranks: [Int]
    ) throws {
      let runs = try TinyRuns()
      let outcome = try interrupted(runs, by: SIGKILL, to: ranks)
      #expect(outcome.status == 128 + SIGKILL, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      try resume(runs)
    }

    @Test(arguments: [(SIGTERM, [0, 1]), (SIGUSR1, [1])])
    func askedToStopItSavesAndEndsWithTheSameBitsLater(
      signal: Int32, ranks: [Int]
    ) throws {
      let runs = try TinyRuns()
      let outcome = try interrupted(runs, by: signal, to: ranks)
      #expect(outcome.status == 75, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      #expect(outcome.complaints.isEmpty, "\(outcome)")
      #expect(outcome.standardError.contains("stopped on request at step"), "\(outcome)")
      // Saved where it stopped, not only where it would have saved anyway.
      let done = try runs.steps(Self.name).count
      let state = try json(runs.latest(Self.name, "state.json"))
      #expect(state["step"]?.integerValue == done)
      try resume(runs)
    }

    @Test func aFinishedRunHasNothingLeftToDo() throws {
      let runs = try TinyRuns()
      let first = try runs.train(Self.name)
      #expect(first.succeeded, "\(first)")
      let before = try Self.result(runs)
      let again = try runs.train(Self.name, more: ["--resume"])
      #expect(again.succeeded, "\(again)")
      #expect(again.standardError.contains("complete"), "\(again)")
      #expect(try Self.result(runs) == before)
    }

    @Test func launchLocalStartsAKilledTrainingAnew() throws {
      let runs = try TinyRuns()
      let job = try Job(
        repository.path + "/launch/local",
        ["--ranks", "\(Self.ranks)", "--restarts", "2"]
          + runs.arguments(Self.name, Self.settings),
        environment: ["RFM": Job.product("rfm")], timeLimit: 240)
      let isThere = job.wait(until: { _ in runs.canResume(Self.name, at: 8) })
      #expect(isThere, "\(job.wait())")
      kill(try #require(job.ranks()[1], "\(job.wait())"), SIGKILL)
      let outcome = job.wait()
      #expect(outcome.succeeded, "\(outcome)")
      for words in ["restart 1 of 2", "continuing "] {
        #expect(outcome.standardError.contains(words), "\(outcome)")
      }
      let isTheSame = try Self.result(runs) == Self.whole.get()
      #expect(isTheSame, "other weights or moments than without the kill")
    }

    @Test func anotherNumberOfRanksContinuesTheSameOrder() throws {
      let settings = ["training.batch_norm=synchronized"]
      let runs = try TinyRuns()
      let first = try runs.train(Self.name, settings, ranks: 2)
      #expect(first.succeeded, "\(first)")
      // 8 steps of 8 images: an epoch of 60, and 4.
      let before = try json(runs.latest(Self.name, "state.json"))
      #expect(before["epoch"] == 1 && before["position"] == 4)

      // The same global batch on one rank: another batch per rank, which must be insisted on.
      let other = settings + ["training.steps=12", "training.batch_per_rank=8"]
      let refused = try runs.train(Self.name, other, ranks: 1, more: ["--resume"])
      #expect(refused.isRefusal(65, "training.batch_per_rank", "4", "8", "--force"), "\(refused)")
      let forced = try runs.train(
        Self.name, other, ranks: 1, more: ["--resume", "--force", "training.batch_per_rank"])
      #expect(forced.succeeded, "\(forced)")
      for words in [
        "ranks: 2 before, 1 now; a step takes 8 images", "training.batch_per_rank",
        "training.steps",
      ] {
        #expect(forced.standardError.contains(words), "\(forced)")
      }
      let after = try json(runs.latest(Self.name, "state.json"))
      #expect(after["epoch"] == 1 && after["position"] == 36)

      let whole = try runs.train("whole", settings + ["training.steps=12"], ranks: 2)
      #expect(whole.succeeded, "\(whole)")
      let losses = try runs.losses("whole")
      #expect(losses.count == 12)
      for (a, b) in zip(try runs.losses(Self.name), losses) { #expect(abs(a - b) <= 1e-6 * abs(b)) }
    }

    @Test func aSettingThatChangesTheResultIsRefusedByNameAndOthersAreTold() throws {
      let runs = try TinyRuns()
      let first = try runs.train(Self.name)
      #expect(first.succeeded, "\(first)")
      let before = try Self.result(runs)

      let changed = ["training.optimizer.learning_rate=0.005", "checkpoint.keep=2"]
      let refused = try runs.train(Self.name, changed, ranks: 2, more: ["--resume"])
      #expect(
        refused.isRefusal(
          65, "training.optimizer.learning_rate", "0.001", "0.005",
          "--force training.optimizer.learning_rate"), "\(refused)")
      #expect(try Self.result(runs) == before)

      let forced = try runs.train(
        Self.name, changed + ["training.steps=10"],
        more: ["--resume", "--force", "training.optimizer.learning_rate"])
      #expect(forced.succeeded, "\(forced)")
      for key in ["training.optimizer.learning_rate", "checkpoint.keep", "training.steps"] {
        #expect(forced.standardError.contains("changed since the run began: \(key)"), "\(forced)")
      }
      #expect(try runs.losses(Self.name).count == 10)
    }

    /// The pattern is the same, but what it names is not.
    @Test func otherTrainingShardsAreRefusedLikeAnotherSetting() throws {
      let runs = try TinyRuns()
      let shards = try FilePattern.expand([SharedData.train])
      let settings = ["data.train=\(runs.folder.file("own-*.h5"))"]
      func copy(_ shard: Int) throws {
        try FileManager.default.copyItem(
          atPath: shards[shard], toPath: runs.folder.file("own-\(shard).h5"))
      }
      try copy(0)
      let first = try runs.train(Self.name, settings)
      #expect(first.succeeded, "\(first)")
      try copy(1)
      let more = settings + ["training.steps=10"]
      let refused = try runs.train(Self.name, more, ranks: 2, more: ["--resume"])
      #expect(
        refused.isRefusal(
          65, "data.train: ", "in 1 shard (", " before, ", "in 2 shards (", "--force data.train"),
        "\(refused)")
      let forced = try runs.train(
        Self.name, more, more: ["--resume", "--force", "data.train"])
      #expect(forced.succeeded, "\(forced)")
      #expect(
        forced.standardError.contains("changed since the run began: data.train"), "\(forced)")
      #expect(try runs.losses(Self.name).count == 10)
    }

    /// Its digests are right, but no training can have written it.
    @Test func aCheckpointWithNumbersThatCannotBeIsRefused() throws {
      let runs = try TinyRuns()
      let first = try runs.train(Self.name)
      #expect(first.succeeded, "\(first)")
      let store = CheckpointStore(path: runs.path(Self.name) + "/checkpoints")
      let checkpoint = try Checkpoint(opening: store.folder(step: 8))
      let skipped = JSON.Member("skipped_steps", .integer(.max))
      for (epoch, position, details) in [
        (Int.max, 0, []), (0, Int.max, []), (0, 0, [skipped]),
      ] as [(Int, Int, [JSON.Member])] {
        var state = checkpoint.state
        (state.epoch, state.position) = (epoch, position)
        let known = state.details.filter { member in !details.contains { $0.name == member.name } }
        state.details = known + details
        try store.write(
          state, model: checkpoint.model(), optimizer: checkpoint.optimizer(), isBest: false)
        let outcome = try runs.train(
          Self.name, ["training.steps=9"], ranks: 2, more: ["--resume"])
        #expect(outcome.isRefusal(65, "state.json", "can't be"), "\(outcome)")
      }
    }

    @Test func everySettingThatIsRefusedIsNamedAndOnlyKeysCanBeForced() throws {
      let runs = try TinyRuns()
      let first = try runs.train(Self.name)
      #expect(first.succeeded, "\(first)")
      let changed = ["run.seed=9", "data.flip=false"]
      let refused = try runs.train(Self.name, changed, ranks: 2, more: ["--resume"])
      #expect(
        refused.isRefusal(
          65, "run.seed: 5 before, 9 now; data.flip: true before, false now",
          "--force run.seed --force data.flip"), "\(refused)")
      let mistaken = try runs.train(
        Self.name, changed, ranks: 2, more: ["--resume", "--force", "run.sed"])
      #expect(mistaken.isRefusal(64, "--force run.sed", "'run.seed'"), "\(mistaken)")

      // Without the configuration its digest in the checkpoint decides.
      let configuration = runs.path(Self.name) + "/config.yaml"
      try FileManager.default.removeItem(atPath: configuration)
      let unknown = try runs.train(Self.name, changed, more: ["--resume"])
      #expect(unknown.isRefusal(65, configuration, "other settings"), "\(unknown)")
      let same = try runs.train(Self.name, more: ["--resume"])
      #expect(same.succeeded && same.standardError.contains("the same settings"), "\(same)")
    }

    @Test func aRunIsNotBegunOverAnother() throws {
      let runs = try TinyRuns()
      let first = try runs.train(Self.name)
      #expect(first.succeeded, "\(first)")
      let before = try Self.result(runs)
      let second = try runs.train(Self.name, ranks: 2)
      #expect(second.isRefusal(65, runs.path(Self.name), "--resume"), "\(second)")
      #expect(try Self.result(runs) == before)
    }

    /// The newest checkpoint is damaged: it is named and set aside, the one before is taken.
    @Test func aDamagedCheckpointIsPassedOver() throws {
      let runs = try TinyRuns()
      let whole = try runs.train("whole", ranks: 2)
      #expect(whole.succeeded, "\(whole)")
      let first = try runs.train(Self.name, ranks: 2)
      #expect(first.succeeded, "\(first)")
      let file = runs.path(Self.name) + "/checkpoints/step-00000008/model.safetensors"
      try damage(file, at: try bytes(file).count / 2)
      let again = try runs.train(Self.name, ranks: 2, more: ["--resume"])
      #expect(again.succeeded, "\(again)")
      for words in ["step-00000008/model.safetensors: is damaged", "continuing from step 4"] {
        #expect(again.standardError.contains(words), "\(again)")
      }
      #expect(try runs.endedAlike("whole", Self.name))

      // With all of them damaged nothing can be continued.
      for step in ["step-00000004", "step-00000008"] {
        let state = runs.path(Self.name) + "/checkpoints/\(step)/state.json"
        try damage(state, at: 40)
      }
      let lost = try runs.train(Self.name, ranks: 2, more: ["--resume"])
      #expect(lost.status == 65 && lost.leftovers.isEmpty, "\(lost)")
      #expect(lost.standardError.contains("no checkpoint is whole"), "\(lost)")
    }
  }
}

/// Changes one byte of a file.
func damage(_ path: String, at offset: Int) throws {
  let file = try FileHandle(forUpdating: URL(filePath: path))
  defer { try? file.close() }
  try file.seek(toOffset: UInt64(offset))
  let byte = try #require(try file.read(upToCount: 1)?.first)
  try file.seek(toOffset: UInt64(offset))
  try file.write(contentsOf: [byte ^ 0x55])
}
