import Foundation
import Testing

@testable import Checkpoints
@testable import FaceShards
@testable import Foundations

/// 20,000 validation images, beside which a training of a tiny detector is asked to stop.
enum ManyImages {
  static let count = 20_000

  private static let made = Result { () throws -> TestFolder in
    let folder = try TestFolder()
    remove = folder.path
    atexit {
      if let path = ManyImages.remove { try? FileManager.default.removeItem(atPath: path) }
    }
    let writer = try ShardWriter(
      path: folder.file("many.h5"), height: 32, width: 32, methodNames: ["real", "blend"],
      hasSources: false)
    let images = (0..<16).map { shade in
      (0..<32 * 32 * 3).map { UInt8(truncatingIfNeeded: $0 &* (2 * shade + 3) &+ 16 * shade) }
    }
    for row in 0..<count { try writer.append(image: images[row * 7 % 16], method: row % 2) }
    try writer.finish()
    return folder
  }
  nonisolated(unsafe) private static var remove: String?

  /// The shard.
  static var path: String { get throws { try made.get().file("many.h5") } }

  /// Settings of a training that validates on them.
  static var settings: [String] {
    get throws { ["data.validation=\(try path)", "data.crop=32", "run.report=false"] }
  }
}

extension TinyRuns {
  /// What a run has measured, without what depends on the machine.
  func measured(_ name: String) throws -> [JSON] {
    try MetricsFile.read(path(name) + "/metrics.jsonl").map { line in
      .object(
        (line.members ?? []).filter {
          !["images_per_second", "data_seconds", "validation_seconds"].contains($0.name)
        })
    }
  }

  func store(_ name: String) -> CheckpointStore {
    CheckpointStore(path: path(name) + "/checkpoints")
  }

  /// The prototypes of the newest checkpoint.
  func prototypes(_ name: String) throws -> PrototypesFile {
    try PrototypesFile(reading: latest(name, "prototypes.h5"))
  }
}

extension Jobs {
  /// A training that is asked to stop saves first; what else was due is done when it goes on.
  @Suite struct Stop {
    private let runs: TinyRuns

    init() throws { runs = try TinyRuns() }

    /// What goes on when the request comes, with settings under which that is for long.
    enum Work {
      case validation, prototypes

      var settings: [String] {
        switch self {
        case .validation: ["evaluation.every_steps=2", "checkpoint.every_steps=4"]
        case .prototypes:
          [
            "evaluation.every_steps=0", "checkpoint.every_steps=2",
            "prototypes.images_per_method=1000",
          ]
        }
      }
    }

    /// In the midst of a validation, or of prototypes, by a signal to one rank alone.
    @Test(arguments: [(Work.validation, 1), (.prototypes, 0)])
    func whatIsUnderWayIsGivenUpAndDoneWhenTheTrainingGoesOn(work: Work, rank: Int) throws {
      let settings = try ManyImages.settings + work.settings + ["training.steps=4"]
      let job = try Job("rfm", runs.arguments("cut", settings), ranks: 2, timeLimit: 240)
      // Step 2 is done, and what is due after it has begun.
      let hasCome = job.wait(until: { _ in ((try? runs.measured("cut").count) ?? 0) >= 2 })
      #expect(hasCome, "\(job.wait())")
      kill(try #require(job.ranks()[rank], "\(job.wait())"), SIGUSR1)
      let outcome = job.wait()
      #expect(outcome.status == 75 && outcome.leftovers.isEmpty, "\(outcome)")
      #expect(outcome.standardError.contains("stopped on request at step 2"), "\(outcome)")
      #expect(try runs.measured("cut").map { $0["step"] } == [1, 2], "\(outcome)")
      let state = try Checkpoint(opening: runs.path("cut") + "/checkpoints/latest").state
      #expect(state.step == 2 && state.hasWorkPending)

      let whole = try runs.train("whole", settings, ranks: 2)
      #expect(whole.succeeded, "\(whole)")
      let resumed = try runs.train("cut", settings, ranks: 2, more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      #expect(try runs.endedAlike("cut", "whole"))
      #expect(try runs.measured("cut") == runs.measured("whole"))
      #expect(runs.store("cut").bestStep == runs.store("whole").bestStep)
      #expect(try runs.prototypes("cut").prototypes == runs.prototypes("whole").prototypes)
    }

    /// The request comes in the last step: the end is saved, and what belongs to it follows.
    @Test func askedToStopInItsLastStepItSavesAndIsCompletedLater() throws {
      let settings = try ManyImages.settings + ["training.steps=2"]
      let job = try Job("rfm", runs.arguments("cut", settings), ranks: 2, timeLimit: 240)
      let hasCome = job.wait(until: { _ in ((try? runs.measured("cut").count) ?? 0) >= 2 })
      #expect(hasCome, "\(job.wait())")
      job.signal(SIGUSR1)
      let outcome = job.wait()
      #expect(outcome.status == 75, "\(outcome)")
      let path = runs.path("cut") + "/checkpoints/latest"
      #expect(try Checkpoint(opening: path).state.hasWorkPending, "\(outcome)")
      let resumed = try runs.train("cut", settings, ranks: 2, more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      let state = try Checkpoint(opening: path).state
      #expect(state.step == 2 && !state.hasWorkPending)
      #expect(JSON.object(state.metrics)["validation_auc"]?.doubleValue != nil)
      #expect(try runs.measured("cut").map { $0["step"] } == [1, 2, 2])
    }

    /// A signal that is there before the program listens waits for it.
    @Test func askedToStopBeforeItBeginsItMakesNoStep() throws {
      let command = try [Job.product("rfm")] + runs.arguments("cut")
      let outcome = try Job.run(
        "/usr/bin/env",
        [
          "perl", "-MPOSIX", "-e",
          "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR1)); kill USR1 => $$; exec @ARGV",
        ] + command)
      #expect(outcome.status == 75, "\(outcome)")
      #expect(outcome.standardError.contains("before the first step"), "\(outcome)")
      #expect(try runs.measured("cut").isEmpty && runs.store("cut").steps().isEmpty)
      let resumed = try runs.train("cut", more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
    }

    /// Not at checkpoints, and not at the end.
    @Test func withoutEvaluationsNothingIsValidatedAndTheNewestIsTheBest() throws {
      let outcome = try runs.train("x", ["evaluation.every_steps=0", "run.report=false"])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(try runs.measured("x").map { $0["step"] } == (1...8).map { .integer($0) })
      #expect(!outcome.standardError.contains("validation"), "\(outcome)")
      #expect(runs.store("x").bestStep == 8)
      #expect(try runs.prototypes("x").prototypes.methods.isEmpty == false)
    }

    /// A training that was killed after a checkpoint got its name and before `best` was turned to it.
    @Test func theBestCheckpointIsLinkedWhenTheTrainingGoesOn() throws {
      let settings = ["run.report=false"]
      let outcome = try runs.train("x", settings)
      #expect(outcome.succeeded, "\(outcome)")
      let store = runs.store("x")
      let best = try #require(store.bestStep)
      try FileManager.default.removeItem(atPath: store.path + "/best")
      let resumed = try runs.train("x", settings + ["training.steps=9"], more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      let auc = try [best, 9].map { step in
        try #require(
          JSON.object(Checkpoint(opening: store.folder(step: step)).state.metrics)[
            "validation_auc"]?.doubleValue)
      }
      #expect(store.bestStep == (auc[1] > auc[0] ? 9 : best))
    }

    /// The disk is slow, and the next step overflows on every rank.
    @Test func aCheckpointUnderWayIsFinishedWhereAllRanksFailTogether() throws {
      let library = runs.folder.file("slow-disk.so")
      let built = try Job.run(
        "/usr/bin/env",
        [
          "clang", "-O1", "-shared", "-fPIC", "-o", library,
          repository.path + "/Tests/Support/slow-disk.c",
        ])
      try #require(built.succeeded, "\(built)")
      let outcome = try Job.run(
        "rfm",
        runs.arguments(
          "x",
          [
            "training.optimizer.learning_rate=1e36", "checkpoint.every_steps=1",
            "data.validation=null",
          ]), ranks: 2,
        environment: [
          "LD_PRELOAD": library, "RFM_SLOW_FILE": "optimizer.safetensors", "RFM_SLOW_SECONDS": "6",
        ])
      #expect(outcome.isRefusal(65, "step 2: not finite on rank 0, 1"), "\(outcome)")
      let store = runs.store("x")
      #expect(try store.steps() == [1], "\(outcome)")
      #expect(throws: Never.self) { try Checkpoint(opening: store.folder(step: 1)) }
      let left = runs.folder.everything.filter { $0.hasSuffix(".partial") }
      #expect(left.isEmpty, "\(left)")
    }
  }
}
