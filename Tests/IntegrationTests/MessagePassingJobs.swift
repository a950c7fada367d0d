import Foundation
import Testing

/// Real jobs under mpirun: the collectives, and what becomes of a job when a rank fails.
@Suite(.serialized) struct MessagePassingJobs {
  @Test(arguments: [1, 2, 3, 4]) func everyCollectiveHolds(ranks: Int) throws {
    let outcome = try Job.run("mpi-checks", ranks: ranks, timeLimit: 120)
    #expect(outcome.succeeded, "\(outcome)")
    #expect(outcome.standardOutput.contains("checks on \(ranks) ranks"), "\(outcome)")
  }

  @Test func everyCollectiveHoldsWithoutLauncher() throws {
    let outcome = try Job.run("mpi-checks", timeLimit: 60)
    #expect(outcome.succeeded, "\(outcome)")
    #expect(outcome.standardOutput.contains("checks on 1 ranks"), "\(outcome)")
  }

  @Test(arguments: [0, 1, 3]) func anErrorOnOneRankEndsAll(rank: Int) throws {
    let outcome = try Job.run("mpi-checks", ["fail", "\(rank)", "65"], ranks: 4, timeLimit: 60)
    #expect(outcome.status == 65, "\(outcome)")
    #expect(!outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
    #expect(outcome.lines(from: "mpi-checks") == ["mpi-checks: rank \(rank): told to fail"])
  }

  @Test func anErrorWithoutLauncherHasNoRank() throws {
    let outcome = try Job.run("mpi-checks", ["fail", "0", "74"])
    #expect(outcome.status == 74, "\(outcome)")
    #expect(outcome.lines(from: "mpi-checks") == ["mpi-checks: told to fail"], "\(outcome)")
  }

  @Test func theSameErrorOnEveryRankIsSaidByTheFirst() throws {
    let outcome = try Job.run("mpi-checks", ["fail-everywhere"], ranks: 3, timeLimit: 60)
    #expect(outcome.status == 74, "\(outcome)")
    #expect(
      outcome.lines(from: "mpi-checks").first
        == "mpi-checks: rank 0: shared/file.h5: no such file", "\(outcome)")
  }

  @Test func exitOnOneRankEndsAll() throws {
    let outcome = try Job.run("mpi-checks", ["exit", "1", "70"], ranks: 2, timeLimit: 60)
    #expect(outcome.status == 70 && outcome.leftovers.isEmpty, "\(outcome)")
    #expect(!outcome.timedOut, "\(outcome)")
  }

  /// 75 says stopped on request: an end that all ranks have agreed on.
  @Test func leavingTogetherIsNotAFailureOfMPI() throws {
    for status: Int32 in [0, 75] {
      let outcome = try Job.run("mpi-checks", ["leave", "\(status)"], ranks: 2, timeLimit: 60)
      #expect(outcome.status == status, "\(outcome)")
      #expect(outcome.leftovers.isEmpty && !outcome.timedOut, "\(outcome)")
      #expect(!outcome.standardError.contains("MPI_ABORT"), "\(outcome)")
    }
  }

  @Test func aKilledRankEndsTheJob() throws {
    let job = try Job("mpi-checks", ["hang"], ranks: 3, timeLimit: 60)
    #expect(job.wait(until: { $0.ranks().count == 3 }))
    let rank = try #require(job.ranks()[2])
    kill(rank, SIGKILL)
    let outcome = job.wait()
    #expect(outcome.status != 0 && !outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
  }

  /// The helper itself: a job that hangs is ended, and nothing of it stays.
  @Test func aJobThatHangsIsEndedAtItsTimeLimit() throws {
    let outcome = try Job.run("mpi-checks", ["hang"], ranks: 2, timeLimit: 4)
    #expect(outcome.timedOut && outcome.leftovers.isEmpty, "\(outcome)")
    #expect(outcome.status != 0, "\(outcome)")
    #expect(outcome.seconds < 20, "\(outcome)")
  }
}
