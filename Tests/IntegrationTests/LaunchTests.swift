import Foundation
import Testing

@testable import rfm

/// The scripts in `launch`, with a program in rfm's place that does as it is told.
@Suite(.serialized) final class LaunchTests {
  private func local(_ arguments: String..., directory: String = "/") throws -> Job.Outcome {
    try started(arguments, directory: directory).wait()
  }

  /// A file of the repository: one that this process had just written could not be started while
  /// another test's child still holds it open.
  private let program = repository.appending(path: "Tests/Support/pretend-rfm")

  private func started(_ arguments: [String], directory: String = "/") throws -> Job {
    try Job(
      repository.path + "/launch/local", arguments, environment: ["RFM": program.path],
      directory: directory, timeLimit: 60)
  }

  @Test func localStartsTheRanksItIsToldTo() throws {
    let outcome = try local("--ranks", "2", "evaluate", "a", "b c")
    #expect(outcome.succeeded, "\(outcome)")
    let lines = outcome.standardOutput.split(separator: "\n").sorted()
    #expect(lines == ["rank 0 of 2: evaluate a b c", "rank 1 of 2: evaluate a b c"])
  }

  @Test func localHandsThreadsOn() throws {
    let train = try local("--ranks", "1", "--threads", "1", "train", "--config", "c")
    #expect(train.standardOutput.contains("train --set training.threads=1 --config c"), "\(train)")
    let compare = try local("--ranks", "1", "--threads", "1", "compare", "--config", "c")
    #expect(compare.standardOutput.contains("compare --set training.threads=1"), "\(compare)")
    let other = try local("--ranks", "1", "--threads", "1", "evaluate")
    #expect(other.standardOutput.contains("evaluate --threads 1"), "\(other)")
    let inspect = try local("--ranks", "1", "--threads", "1", "inspect", "x.h5")
    #expect(inspect.standardOutput.contains("inspect x.h5"), "\(inspect)")
  }

  @Test func aFailedTrainingIsResumed() throws {
    let outcome = try local("--ranks", "1", "--restarts", "2", "train", "fail")
    // The second time the last argument is --resume, and all is well.
    #expect(outcome.succeeded, "\(outcome)")
    #expect(outcome.standardOutput.contains("train fail --resume"), "\(outcome)")
    #expect(outcome.standardError.contains("restart 1 of 2"), "\(outcome)")
  }

  @Test func withoutRestartsAFailureIsTheEnd() throws {
    let outcome = try local("--ranks", "2", "train", "fail")
    #expect(outcome.status == 70 && outcome.leftovers.isEmpty, "\(outcome)")
  }

  @Test func badUsageIsNotTriedAgain() throws {
    let outcome = try local("--ranks", "1", "--restarts", "3", "train", "usage")
    #expect(outcome.status == 64, "\(outcome)")
    #expect(outcome.standardOutput.split(separator: "\n").count == 1, "\(outcome)")
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func aRequestToStopReachesTheRanks(
    signal: Int32
  ) throws {
    let job = try started(["--ranks", "2", "--restarts", "3", "train", "slow"])
    #expect(job.wait(until: { $0.standardOutput.split(separator: "\n").count == 2 }))
    job.signal(signal)
    let outcome = job.wait()
    #expect(outcome.status == 75 && outcome.leftovers.isEmpty, "\(outcome)")
    #expect(!outcome.timedOut && outcome.seconds < 20, "\(outcome)")
  }

  /// A training that goes on for long, started by a script that may be Slurm's, is asked to stop when
  /// its output tells that the moment has come, and ends by its own status.
  private func askToStop(
    _ script: String, by signal: Int32, environment: [String: String],
    when isTheMoment: (Job) -> Bool
  ) throws {
    let job = try Job(
      repository.path + "/launch/" + script,
      script == "local" ? ["--ranks", "2", "train", "slow"] : ["--resume", "slow"],
      environment: [
        "RFM": program.path, "RFM_HOME": repository.path, "SLURM_JOB_ID": "1",
        "SLURM_NTASKS": "2",
        "BASH_FUNC_squeue%%": "() { return 1; }", "BASH_FUNC_scontrol%%": "() { return 0; }",
      ].merging(environment) { $1 }, directory: "/", timeLimit: 60)
    let hasCome = job.wait(until: isTheMoment)
    #expect(hasCome, "\(job.wait())")
    job.signal(signal)
    let outcome = job.wait()
    #expect(outcome.status == 75 && outcome.leftovers.isEmpty, "\(outcome)")
    #expect(!outcome.timedOut, "\(outcome)")
  }

  /// A job may end while the signal that asked it to is still being handled.
  @Test(arguments: [("local", SIGTERM), ("slurm.sbatch", SIGUSR1)])
  func aJobThatEndsDuringAHandlerIsToldByItsOwnStatus(script: String, signal: Int32) throws {
    // The handler takes its time after it has handed the signal on.
    let slowKill = ["BASH_FUNC_kill%%": #"() { builtin kill "$@" || return; sleep 4; }"#]
    try askToStop(script, by: signal, environment: slowKill) {
      $0.standardOutput.split(separator: "\n").count == 2
    }
  }

  /// mpirun forgets a request that comes before it has started the ranks.
  @Test(arguments: [("local", SIGTERM), ("slurm.sbatch", SIGUSR1)])
  func aRequestThatComesBeforeTheRanksReachesThem(script: String, signal: Int32) throws {
    let path = try #require(ProcessInfo.processInfo.environment["PATH"])
    let slowStart = ["PATH": "\(repository.path)/Tests/Support/slow-start:\(path)"]
    try askToStop(script, by: signal, environment: slowStart) {
      $0.standardError.contains("starting")
    }
  }

  /// A rank that does not listen yet is ended by the request: a training has then not begun, and goes
  /// on like one that saved; what else it is has failed.
  @Test(
    arguments: [("train", 75), ("compare", 75), ("evaluate", 128 + SIGUSR1)] as [(String, Int32)])
  func aRequestThatComesBeforeTheRanksListenEndsThem(command: String, status: Int32) throws {
    let job = try started(["--ranks", "2", "--restarts", "3", command, "deaf"])
    #expect(job.wait(until: { $0.standardOutput.split(separator: "\n").count == 2 }))
    job.signal(SIGTERM)
    let outcome = job.wait()
    #expect(outcome.status == status && outcome.leftovers.isEmpty, "\(outcome)")
    #expect(!outcome.timedOut && !outcome.standardError.contains("restart 1"), "\(outcome)")
  }

  @Test func wrongArgumentsAreNamed() throws {
    for arguments in [["--ranks", "x", "train"], ["--ranks"], ["--what", "train"], []] {
      let outcome = try Job.run(repository.path + "/launch/local", arguments)
      #expect(outcome.status == 64, "\(outcome)")
      #expect(outcome.standardError.hasPrefix("launch/local: "), "\(outcome)")
      #expect(outcome.standardError.split(separator: "\n").count == 1, "\(outcome)")
    }
  }

  @Test(arguments: [
    "apptainer", "cluster", "compare", "container", "fetch-swift", "fresh-debian", "fuzz",
    "install",
    "install-dependencies", "local", "quickstart", "quickstart-media", "rooms", "smoke", "test",
  ])
  func everyScriptExplainsItself(name: String) throws {
    let outcome = try Job.run(repository.path + "/launch/" + name, ["--help"], directory: "/")
    #expect(outcome.succeeded, "\(outcome)")
    #expect(outcome.standardOutput.contains("  launch/\(name)"), "\(outcome)")
    #expect(outcome.standardOutput.contains("--help"), "\(outcome)")
    #expect(outcome.standardError.isEmpty, "\(outcome)")
  }

  /// The machine that runs the tests has what the tests were built with.
  @Test func nothingIsMissingWhereTheTestsRun() throws {
    try #require(
      FileManager.default.fileExists(atPath: "/usr/bin/dpkg-query"), "made for Debian's kin")
    let script = repository.path + "/launch/install-dependencies"
    let outcome = try Job.run(script, ["--check"], directory: "/")
    #expect(outcome.succeeded, "\(outcome)")
  }
}
