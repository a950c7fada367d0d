import Foundation
import Testing
import Training

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
