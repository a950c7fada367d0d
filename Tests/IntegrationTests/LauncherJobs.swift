import Foundation
import Testing

@testable import FaceShards

extension Jobs {
  /// Processes that were started together and that MPI did not join: each would do all of the work,
  /// into the same files.
  @Suite struct Launchers {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// The variables that each launcher sets in its processes, without the number of the process.
    private static let launchers: [(rank: String, variables: [String: String], words: String)] = [
      ("PMI_RANK", ["PMI_SIZE": "4", "PMI_FD": "9"], "the mpiexec of another MPI (PMI_SIZE=4)"),
      (
        "RANK", ["WORLD_SIZE": "4", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"],
        "torchrun, or what sets its variables, (WORLD_SIZE=4)"
      ),
      (
        "SLURM_PROCID",
        [
          "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0",
          "SLURM_STEPID": "0",
        ],
        "srun (SLURM_STEP_NUM_TASKS=4)"
      ),
    ]

    /// Every command that does work.
    private func commands() throws -> [[String]] {
      let checkpoint = try TinyRuns.checkpoint.get().path
      let (data, config) = (try SharedData.test, try runs.arguments("x")[2])
      try FileManager.default.createDirectory(
        atPath: folder.file("faces"), withIntermediateDirectories: true)
      return try [
        runs.arguments("x"), ["compare", "--config", config, "--data", data],
        runs.arguments("x") + ["--check"],
        ["pack", "--input", folder.file("faces"), "--output", folder.file("shards")],
        ["synthesize", "--output", folder.file("d"), "--images-per-class", "15", "--size", "64"],
        ["inspect", data], ["report", TinyRuns.checkpoint.get().runs.path("tiny")],
        ["explain", "--checkpoint", checkpoint, folder.file("faces")],
        ["benchmark", "--model", "xception-tiny", "--crop", "40", "--steps", "1"],
      ]
        + Applying.allCases.map {
          $0.arguments(
            checkpoint: checkpoint, data: data, output: folder.file($0.outputName))
        }
    }

    @Test(arguments: 0..<3) func processesThatMPIDidNotJoinAreRefused(launcher: Int) throws {
      let (rank, variables, words) = Self.launchers[launcher]
      for command in try commands() {
        let environment = variables.merging([rank: "0"]) { $1 }
        let first = try Job.run("rfm", command, environment: environment)
        #expect(
          first.isRefusal(64, "4 processes were started by \(words), but MPI joins none of them"),
          "\(first)")
        #expect(lines(of: first).count == 1, "\(first)")
        #expect(first.standardOutput.isEmpty, "\(first)")
      }
      // The others have nothing to add.
      for command in try commands().prefix(2) {
        let other = try Job.run(
          "rfm", command, environment: variables.merging([rank: "3"]) { $1 })
        #expect(other.status == 64 && !other.timedOut && other.leftovers.isEmpty, "\(other)")
        #expect(lines(of: other).isEmpty && other.standardOutput.isEmpty, "\(other)")
      }
      #expect(folder.everything == ["config.yaml", "faces"])
    }

    /// What the program says itself; PMIx has remarks of its own on half a launcher.
    private func lines(of outcome: Job.Outcome) -> [Substring] {
      outcome.standardError.split(separator: "\n").filter { $0.contains("rfm: ") }
    }

    /// `mpirun` is called in the midst of all of them, and a batch script is one process.
    @Test func ranksThatMPIJoinedAreNotRefusedWhateverTheyWereStartedIn() throws {
      let batch = [
        "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
        "SLURM_JOB_ID": "7", "SLURM_TASKS_PER_NODE": "8",
      ]
      let data = try FilePattern.expand([SharedData.test])[0]
      let alone = try Job.run("rfm", ["inspect", data], environment: batch)
      #expect(alone.succeeded, "\(alone)")
      for (rank, variables, _) in Self.launchers {
        var environment = variables.merging([rank: "0"]) { $1 }
        if rank == "SLURM_PROCID" {
          // Else mpirun would ask Slurm itself to start its daemons.
          environment["OMPI_MCA_plm"] = "rsh"
          environment["OMPI_MCA_ras"] = "^slurm"
        }
        let joined = try Job.run("rfm", ["inspect", data], ranks: 2, environment: environment)
        #expect(joined.succeeded, "\(joined)")
        environment["RFM_ALONE"] = "1"
        let meant = try Job.run("rfm", ["inspect", data], environment: environment)
        #expect(meant.succeeded, "\(meant)")
        #expect(meant.standardOutput.contains("shard of "), "\(meant)")
      }
      let one = ["SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"]
      let single = try Job.run("rfm", ["inspect", data], environment: one)
      #expect(single.succeeded, "\(single)")
    }

    /// Usage is explained once, too.
    @Test func ofProcessesThatWereStartedTogetherOneExplainsUsage() throws {
      let outcome = try Job.run(
        "rfm", ["--version"], environment: ["PMI_SIZE": "4", "PMI_RANK": "1"])
      #expect(outcome.succeeded && outcome.standardOutput.isEmpty, "\(outcome)")
    }
  }
}
