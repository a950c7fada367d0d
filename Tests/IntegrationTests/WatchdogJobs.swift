import Foundation
import Testing

extension Jobs {
  /// Ranks that do not come to a collective: nobody waits for ever, and somebody says for whom.
  @Suite struct Watchdogs {
    @Test(arguments: [0, 2]) func aRankThatNeverComesIsNamedAndTheJobEnds(rank: Int) throws {
      let outcome = try Job.run("mpi-checks", ["watch", "\(rank)"], ranks: 4, timeLimit: 60)
      #expect(outcome.status == 74, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      let others = [0: "1-3", 2: "0-1, 3"][rank]!
      for words in [
        "in MPI_Barrier (the limit): rank \(rank) is missing", "arrived: rank \(others)\n",
        "missing: rank \(rank) on ",
      ] {
        #expect(outcome.standardError.contains(words), "\(outcome)")
      }
    }

    @Test func aRankThatWorksForLongIsWaitedFor() throws {
      let outcome = try Job.run("mpi-checks", ["watch-work", "1"], ranks: 3, timeLimit: 60)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(!outcome.standardError.contains("watchdog"), "\(outcome)")
    }

    /// Also of a communicator that was made late, as by the fourth training of a comparison.
    @Test func aRankThatDoesNotComeToALaterCommunicatorIsNamed() throws {
      let outcome = try Job.run("mpi-checks", ["watch-later", "1"], ranks: 3, timeLimit: 60)
      #expect(outcome.status == 74, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      #expect(
        outcome.standardError.contains("in MPI_Barrier (the limit): rank 1 is missing"),
        "\(outcome)")
    }

    /// Ranks may also wait where no collective is counted.
    @Test func aSilentRankIsMissedWhereverTheOthersWait() throws {
      let outcome = try Job.run("mpi-checks", ["watch-silent", "1"], ranks: 3, timeLimit: 60)
      #expect(outcome.status == 74, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      #expect(
        outcome.standardError.contains("without getting on (the limit): rank 1 is missing"),
        "\(outcome)")
    }

    /// MPI's first call and its last wait for every rank, where no watchdog can look yet or any more.
    @Test(arguments: [("begin", "MPI_Init_thread"), ("end", "MPI_Finalize")])
    func aRankThatStallsBeforeOrAfterTheWorkEndsTheJob(moment: String, call: String) throws {
      let outcome = try Job.run("mpi-checks", ["watch-" + moment, "1"], ranks: 3, timeLimit: 60)
      #expect(outcome.status == 74, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      #expect(
        outcome.standardError.contains("in \(call) (the limit): another rank does not come"),
        "\(outcome)")
    }

    private let settings = [
      "training.steps=4000", "checkpoint.every_steps=1000", "evaluation.every_steps=0",
      "data.crop=32", "training.batch_per_rank=2", "communication.watchdog_seconds=3",
    ]

    /// Starts a training and stops a rank's process in its midst.
    private func stopped(_ rank: Int, _ runs: TinyRuns) throws -> (job: Job, process: pid_t) {
      let job = try Job("rfm", runs.arguments("x", settings), ranks: 3, timeLimit: 120)
      let metrics = runs.path("x") + "/metrics.jsonl"
      #expect(
        job.wait(until: { _ in
          (FileManager.default.contents(atPath: metrics) ?? Data()).count > 1000
        }), "\(job.wait())")
      let process = try #require(job.ranks()[rank])
      kill(process, SIGSTOP)
      return (job, process)
    }

    /// A stopped process answers nothing, and can't be asked to end.
    @Test(arguments: [0, 1]) func aStalledRankEndsTheTrainingWithItsName(rank: Int) throws {
      let runs = try TinyRuns()
      let outcome = try stopped(rank, runs).job.wait()
      #expect(outcome.status == 74, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      for words in [
        "(communication.watchdog_seconds): rank \(rank) is missing; the job ends here",
        "missing: rank \(rank) on ", "last heard of ", ": step ",
      ] {
        #expect(outcome.standardError.contains(words), "\(outcome)")
      }
    }

    /// Who writes to a pipe is no rank, and may think for longer than the limit.
    @Test func standardInputIsWaitedFor() throws {
      let folder = try TestFolder()
      try folder.write("P6 2 2 255 000000000000", to: "face.ppm")
      let script = #"(sleep 4; echo "$0") | mpirun -np 2 --oversubscribe --bind-to none "$@""#
      let outcome = try Job.run(
        "/bin/sh",
        [
          "-c", script, folder.file("face.ppm"), Job.product("rfm"), "explain", "--checkpoint",
          TinyRuns.checkpoint.get().path, "--watchdog-seconds", "1", "-",
        ], timeLimit: 60)
      #expect(outcome.succeeded, "\(outcome)")
      #expect(outcome.standardOutput.contains("probability_fake"), "\(outcome)")
    }

    /// A command without a configuration, long enough to be met in its midst.
    private func work(_ command: String, _ folder: TestFolder) throws -> [String] {
      let limit = ["--watchdog-seconds", "4", "--threads", "1"]
      switch command {
      case "evaluate":
        let checkpoint = try TinyRuns.checkpoint.get().path
        return try Applying.evaluate.arguments(
          checkpoint: checkpoint, data: SharedData.train, output: folder.file("results"))
          + limit.prefix(2) + Array(repeating: ["--degrade", "blur=8"], count: 400).joined()
      case "explain":
        let checkpoint = try TinyRuns.checkpoint.get().path
        try FileManager.default.createDirectory(
          atPath: folder.file("faces"), withIntermediateDirectories: false)
        for number in 0..<2000 {
          try folder.write("P6 2 2 255 000000000000", to: "faces/\(number).ppm")
        }
        return ["explain", "--checkpoint", checkpoint, "--batch", "1", folder.file("faces")] + limit
      default:
        // The others wait only when they have done their parts.
        return [
          "synthesize", "--output", folder.file("d"), "--images-per-class", "300",
          "--images-per-shard", "50",
        ] + limit
      }
    }

    /// Whether every rank is past the beginning.
    private func isAtWork(_ job: Job, _ command: String, _ folder: TestFolder) -> Bool {
      switch command {
      case "evaluate": (0..<3).allSatisfy { !job.openFiles(rank: $0, "/train-").isEmpty }
      case "explain": job.standardOutput.contains("\n")
      default: folder.names("d/.packing").count >= 3
      }
    }

    @Test(arguments: ["evaluate", "explain", "synthesize"])
    func aStalledRankEndsEveryCommandWithItsName(command: String) throws {
      let folder = try TestFolder()
      let job = try Job("rfm", work(command, folder), ranks: 3, timeLimit: 120)
      #expect(job.wait(until: { isAtWork($0, command, folder) }), "\(job.wait())")
      let process = try #require(job.ranks()[1], "\(job.wait())")
      kill(process, SIGSTOP)
      let outcome = job.wait()
      #expect(outcome.status == 74, "\(outcome)")
      #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
      for words in ["(--watchdog-seconds): rank 1 is missing; the job ends here", "last heard of "]
      {
        #expect(outcome.standardError.contains(words), "\(outcome)")
      }
    }

    /// The whole job is stopped for longer than the limit, as by a scheduler: nobody is to blame.
    @Test func aJobThatWasSuspendedGoesOn() throws {
      let runs = try TinyRuns()
      let (job, _) = try stopped(0, runs)
      let metrics = runs.path("x") + "/metrics.jsonl"
      let ranks = job.ranks()
      #expect(ranks.count == 3)
      for (_, process) in ranks { kill(process, SIGSTOP) }
      usleep(5_000_000)
      for (_, process) in ranks { kill(process, SIGCONT) }
      let before = try bytes(metrics).count
      #expect(job.wait(until: { _ in ((try? bytes(metrics).count) ?? 0) > before + 1000 }))
      job.signal(SIGUSR1)
      let outcome = job.wait()
      #expect(outcome.status == 75, "\(outcome)")
      #expect(!outcome.standardError.contains("watchdog"), "\(outcome)")
    }
  }
}
