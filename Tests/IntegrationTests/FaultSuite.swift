import Foundation
import Testing

@testable import Checkpoints
@testable import Foundations

/// Deterministic draws from a seed (Steele et al., "Fast splittable pseudorandom number generators",
/// OOPSLA 2014).
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// What is done to a running job.
private enum Fault: CaseIterable {
  case killOneRank, killAllRanks, killLauncher, terminateRanks, stopByLauncher, terminateLauncher
  case stopThenKill

  /// Whether the ranks have time to save.
  var isRequest: Bool { self == .terminateRanks || self == .stopByLauncher }

  /// Does it. Returns what was done, in words.
  func strike(_ job: Job, using random: inout SplitMix) -> String {
    let ranks = job.ranks().sorted { $0.key < $1.key }
    switch self {
    case .killOneRank where !ranks.isEmpty:
      let (rank, process) = ranks.randomElement(using: &random)!
      kill(process, SIGKILL)
      return "rank \(rank) by SIGKILL"
    case .killAllRanks where !ranks.isEmpty:
      for (_, process) in ranks { kill(process, SIGKILL) }
      return "all ranks by SIGKILL"
    case .terminateRanks where !ranks.isEmpty:
      for (_, process) in ranks { kill(process, SIGTERM) }
      return "all ranks by SIGTERM"
    case .stopByLauncher where !ranks.isEmpty:
      job.signal(SIGUSR1)
      return "mpirun by SIGUSR1"
    case .terminateLauncher:
      job.signal(SIGTERM)
      return "mpirun by SIGTERM"
    case .stopThenKill where !ranks.isEmpty:
      let (rank, process) = ranks.randomElement(using: &random)!
      for (_, process) in ranks { kill(process, SIGUSR1) }
      usleep(.random(in: 0...60_000, using: &random))
      kill(process, SIGKILL)
      return "all ranks by SIGUSR1, then rank \(rank) by SIGKILL"
    default:
      // Also where the ranks have not been started yet.
      job.signal(SIGKILL)
      return "mpirun by SIGKILL"
    }
  }
}

extension Jobs {
  /// Real trainings that are killed at random moments, resumed, killed again, until they get to their
  /// end: with the bits of one that was left alone.
  ///
  /// `launch/test --faults N` makes N kills; a few are made in every run of the tests. RFM_FAULT_SEED
  /// sets what the draws start from (the moments still depend on the machine).
  @Suite struct FaultSuite {
    private static let environment = ProcessInfo.processInfo.environment
    private static let kills = environment["RFM_FAULT_KILLS"].flatMap { Int($0) } ?? 6
    private static let seed =
      environment["RFM_FAULT_SEED"].flatMap { UInt64($0) } ?? .random(in: 0..<1_000_000)

    private static let steps = 40
    private static let settings = [
      "training.steps=\(steps)", "training.batch_per_rank=2", "data.crop=32",
      "checkpoint.every_steps=3", "checkpoint.keep=2", "prototypes.images_per_method=1",
      "evaluation.every_steps=9", "communication.digest_every_steps=5",
      "communication.watchdog_seconds=30", "run.tensorboard=false",
    ]
    /// No run, however often it is hit, takes so long, even where the machine has other work; one that
    /// hangs is ended by its watchdog before.
    private static let timeLimit = 240.0

    /// An uninterrupted training: what it ends with, and its seconds.
    private struct Whole {
      var bytes: [[UInt8]]
      var measured: [JSON]
      var best: Int?
      var seconds: Double
    }

    private let runs: TinyRuns

    init() throws { runs = try TinyRuns() }

    private func tell(_ text: String) {
      FileHandle.standardError.write(Data(("faults: " + text + "\n").utf8))
    }

    private func result(_ name: String) throws -> [[UInt8]] {
      try ["model.safetensors", "optimizer.safetensors"].map { try bytes(runs.latest(name, $0)) }
    }

    private func start(
      _ name: String, ranks: Int, _ settings: [String] = Self.settings
    ) throws -> Job {
      try Job(
        "rfm", runs.arguments(name, settings) + ["--resume"], ranks: ranks,
        timeLimit: Self.timeLimit)
    }

    private func whole(ranks: Int, _ settings: [String] = Self.settings) throws -> Whole {
      let name = "whole-\(ranks)"
      let outcome = try start(name, ranks: ranks, settings).wait()
      try #require(outcome.succeeded, "\(outcome)")
      return Whole(
        bytes: try result(name), measured: try runs.measured(name),
        best: runs.store(name).bestStep, seconds: outcome.seconds)
    }

    /// What must hold at the end, whatever there was in between.
    private func expectTheSame(_ name: String, as whole: Whole) throws {
      let isTheSame = try result(name) == whole.bytes
      #expect(isTheSame, "seed \(Self.seed), \(name): other bits than without the kills")
      #expect(try runs.measured(name) == whole.measured, "seed \(Self.seed), \(name)")
      #expect(runs.store(name).bestStep == whole.best, "seed \(Self.seed), \(name)")
      let left = runs.folder.everything.filter { $0.hasSuffix(".partial") }
      #expect(left.isEmpty, "seed \(Self.seed), \(name): \(left)")
    }

    /// Seconds from now until there is a checkpoint of a later step; nil if the job ends without.
    private func secondsUntilSaved(_ job: Job, _ name: String, after earlier: Int) -> Double? {
      let begin = Date()
      guard job.wait(until: { _ in newestCheckpoint(name) > earlier }) else { return nil }
      return Date().timeIntervalSince(begin)
    }

    private func newestCheckpoint(_ name: String) -> Int {
      (try? CheckpointStore(path: runs.path(name) + "/checkpoints").steps().last) ?? 0
    }

    /// Waits for the moment: any time of a run, or while a checkpoint is being written.
    private func waitForMoment(
      _ job: Job, _ name: String, _ whole: Whole, using random: inout SplitMix
    ) -> Bool {
      let folder = runs.path(name) + "/checkpoints"
      let delay = Double.random(in: 0...0.7, using: &random) * whole.seconds
      let aimsAtCheckpoint = Int.random(in: 0..<3, using: &random) == 0
      let start = Date()
      return job.wait { _ in
        guard Date().timeIntervalSince(start) >= delay else { return false }
        guard aimsAtCheckpoint else { return true }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.contains { $0.hasSuffix(".partial") }
      } && job.isRunning
    }

    /// What must hold after a kill, whatever it was.
    private func expectNothingLost(
      _ outcome: Job.Outcome, _ name: String, earlier: Int, _ what: String
    ) throws {
      let note: Comment = "seed \(Self.seed), \(name), \(what): \(outcome)"
      #expect(!outcome.timedOut, note)
      #expect(outcome.leftovers.isEmpty, note)
      let newest = newestCheckpoint(name)
      #expect(newest >= earlier, "step \(earlier) was there before; \(note)")
      if newest > 0 {
        let path = CheckpointStore(path: runs.path(name) + "/checkpoints").folder(step: newest)
        #expect(throws: Never.self, note) { try Checkpoint(opening: path) }
      }
      if outcome.status == 75 {
        let done = try runs.steps(name).last?["step"]?.integerValue ?? 0
        #expect(done == newest, "stopped, but not saved where it was; \(note)")
      }
    }

    @Test func killedAgainAndAgainItEndsWithTheSameBits() throws {
      var random = SplitMix(state: Self.seed)
      tell("\(Self.kills) kills, RFM_FAULT_SEED=\(Self.seed)")
      let begin = Date()
      var wholes: [Int: Whole] = [:]
      var (kills, chains, wasHit) = (0, 0, [String: Int]())
      while kills < Self.kills {
        let ranks = Int.random(in: 2...4, using: &random)
        if wholes[ranks] == nil { wholes[ranks] = try whole(ranks: ranks) }
        let whole = wholes[ranks]!
        chains += 1
        let name = "chain-\(chains)"
        let most = kills + Int.random(in: 1...12, using: &random)
        var isFinished = false
        while !isFinished {
          let job = try start(name, ranks: ranks)
          if kills < min(most, Self.kills), waitForMoment(job, name, whole, using: &random) {
            let fault = Fault.allCases.randomElement(using: &random)!
            let earlier = newestCheckpoint(name)
            let what = fault.strike(job, using: &random)
            kills += 1
            wasHit[what.filter { !$0.isNumber }, default: 0] += 1
            let seconds =
              fault.isRequest ? secondsUntilSaved(job, name, after: earlier) : nil
            let outcome = job.wait()
            try expectNothingLost(outcome, name, earlier: earlier, what)
            tell(
              "\(kills)/\(Self.kills) \(name) on \(ranks) ranks: \(what); status "
                + "\(outcome.status), checkpoint \(earlier) -> \(newestCheckpoint(name))"
                + (seconds.map { String(format: ", saved %.3f s after the signal", $0) } ?? ""))
            isFinished = outcome.status == 0
          } else {
            let outcome = job.wait()
            let note: Comment = "seed \(Self.seed), \(name): \(outcome)"
            try #require(outcome.succeeded, note)
            isFinished = true
          }
        }
        try expectTheSame(name, as: whole)
        let steps = try runs.steps(name).map { $0["step"]?.integerValue }
        #expect(steps == Array(1...Self.steps), "seed \(Self.seed), \(name)")
        try FileManager.default.removeItem(atPath: runs.path(name))
      }
      tell(
        "\(kills) kills of \(chains) trainings in \(Int(Date().timeIntervalSince(begin))) s: "
          + wasHit.sorted { $0.key < $1.key }.map { "\($0.value) x \($0.key)" }
          .joined(separator: "; "))
    }

    /// Beside 20,000 validation images, at any moment of a step or of a validation: who asks a training
    /// to stop does not wait for them. The time that saving takes is printed.
    @Test func askedToStopBesideManyImagesItSavesAtOnce() throws {
      let requests = max(3, Self.kills / 8)
      let settings =
        try ManyImages.settings + [
          "training.steps=60", "training.batch_per_rank=2", "prototypes.images_per_method=1",
          "evaluation.every_steps=20", "checkpoint.every_steps=1000000", "run.tensorboard=false",
          "communication.watchdog_seconds=30",
        ]
      var random = SplitMix(state: Self.seed &+ 1)
      let whole = try whole(ranks: 2, settings)
      var (made, chains, longest) = (0, 0, 0.0)
      while made < requests {
        chains += 1
        let name = "stopped-\(chains)"
        var isFinished = false
        while !isFinished {
          let lines = (try? runs.measured(name).count) ?? 0
          // Also before what the last request left to do is done.
          let goesOn = lines == 0 || Int.random(in: 0..<3, using: &random) > 0
          let job = try start(name, ranks: 2, settings)
          // Then all ranks listen.
          let isThere = job.wait(until: { job in
            goesOn
              ? (try? runs.measured(name).count) ?? 0 > lines
              : job.standardError.contains("continuing ")
          })
          usleep(.random(in: 0...1_000_000, using: &random))
          let ranks = job.ranks().sorted { $0.key < $1.key }
          guard made < requests, isThere, job.isRunning, ranks.count == 2 else {
            let outcome = job.wait()
            try #require(outcome.succeeded, "seed \(Self.seed), \(name): \(outcome)")
            isFinished = true
            continue
          }
          let earlier = newestCheckpoint(name)
          let before = try runs.measured(name).count
          let alone = ranks.randomElement(using: &random)!
          let toAll = Bool.random(using: &random)
          if toAll { job.signal(SIGUSR1) } else { kill(alone.value, SIGUSR1) }
          made += 1
          let what = toAll ? "mpirun by SIGUSR1" : "rank \(alone.key) alone by SIGUSR1"
          let saved = secondsUntilSaved(job, name, after: earlier)
          let outcome = job.wait()
          try expectNothingLost(outcome, name, earlier: earlier, what)
          #expect(outcome.status == 75 || outcome.status == 0, "seed \(Self.seed): \(outcome)")
          isFinished = outcome.status == 0
          longest = max(longest, saved ?? 0)
          tell(
            "\(made)/\(requests) \(name): \(what) after line \(before); status \(outcome.status), "
              + "checkpoint \(earlier) -> \(newestCheckpoint(name)), "
              + (saved.map { String(format: "saved %.3f s after the signal", $0) }
                ?? "nothing new to save"))
        }
        try expectTheSame(name, as: whole)
      }
      tell(
        "\(made) requests to stop beside \(ManyImages.count) validation images: saved at most "
          + String(format: "%.3f s after the signal", longest))
    }
  }
}
