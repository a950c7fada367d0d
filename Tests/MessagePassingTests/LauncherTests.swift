import Testing

@testable import MessagePassing

/// What a process learns from its environment, before MPI has been asked.
@Suite struct LauncherTests {
  private static let step = [
    "SLURM_NTASKS": "6", "SLURM_STEP_NUM_TASKS": "6", "SLURM_PROCID": "4", "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1(x2)", "SLURM_STEP_ID": "0",
  ]
  private static let mpirun = [
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_RANK": "1",
  ]
  private static let hydra = ["PMI_RANK": "0", "PMI_SIZE": "4", "MPI_LOCALNRANKS": "3"]
  private static let torchrun = [
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
  ]

  private func merged(_ parts: [String: String]...) -> [String: String] {
    parts.reduce(into: [:]) { $0.merge($1) { $1 } }
  }

  @Test func aProcessThatNobodyCountsIsStartedByNobody() {
    #expect(Launcher(environment: [:]) == nil)
    #expect(Launcher(environment: ["PATH": "/bin", "HOME": "/"]) == nil)
  }

  @Test func mpirunIsBelievedBeforeWhatItWasStartedIn() throws {
    for around in [[:], Self.step, Self.hydra, Self.torchrun, ["RFM_ALONE": "1"]] {
      let launcher = try #require(Launcher(environment: merged(around, Self.mpirun)))
      #expect(launcher.kind == .mpirun && launcher.handsOver && !launcher.isHopeless)
      #expect(launcher.rank == 1 && launcher.size == 2 && launcher.nodeSize == 2)
    }
  }

  @Test func aStepOfSlurmHasRankSizeAndTasksOfTheNode() throws {
    let plain = try #require(Launcher(environment: Self.step))
    #expect(plain.kind == .srun(hasPMIx: false) && plain.isHopeless && !plain.handsOver)
    #expect(plain.rank == 4 && plain.size == 6 && plain.nodeSize == 1)
    let joined = try #require(Launcher(environment: merged(Self.step, ["PMIX_RANK": "4"])))
    #expect(joined.kind == .srun(hasPMIx: true) && joined.handsOver && !joined.isHopeless)
    #expect(joined.rank == 4 && joined.size == 6 && joined.nodeSize == 1)
    let one = merged(Self.step, ["SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"])
    #expect(Launcher(environment: merged(one, ["SLURM_PROCID": "0"]))?.isHopeless == false)
  }

  /// A batch script runs once, however many tasks its job has; so does the shell of `salloc`.
  @Test func aBatchScriptIsOneProcess() {
    let batch = [
      "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
      "SLURM_TASKS_PER_NODE": "8", "SLURM_TASK_PID": "12912", "SLURM_JOB_ID": "7",
    ]
    #expect(Launcher(environment: batch) == nil)
    #expect(Launcher(environment: ["SLURM_NTASKS": "8", "SLURM_TASKS_PER_NODE": "8"]) == nil)
    // Submitted from within a step of another job, whose variables it inherits.
    let inherited = merged(batch, ["SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_ID": "0"])
    #expect(Launcher(environment: inherited) == nil)
  }

  @Test func theShortFormOfTasksANodeIsRead() {
    #expect((0...4).map { Launcher.tasks(onNode: $0, of: "2(x3),1") } == [2, 2, 2, 1, nil])
    #expect(Launcher.tasks(onNode: 0, of: "16") == 16)
    #expect(
      Launcher.tasks(onNode: nil, of: "2") == nil && Launcher.tasks(onNode: 0, of: nil) == nil)
    for text in ["", "x", "2(x)", "2(3)", "-1", "2,", "99999999999999999999", "2 (x2)"] {
      #expect(Launcher.tasks(onNode: 1, of: text) == nil, "\(text)")
    }
  }

  @Test func otherLaunchersAreKnownByTheirVariables() throws {
    let hydra = try #require(Launcher(environment: Self.hydra))
    #expect(hydra.rank == 0 && hydra.size == 4 && hydra.nodeSize == 3 && !hydra.handsOver)
    let torchrun = try #require(Launcher(environment: Self.torchrun))
    #expect(torchrun.rank == 3 && torchrun.size == 4 && torchrun.nodeSize == 2)
    for (rank, size) in [
      ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"), ("FLUX_TASK_RANK", "FLUX_JOB_SIZE"),
      ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE"), ("HOROVOD_RANK", "HOROVOD_SIZE"),
      ("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ] {
      let launcher = try #require(Launcher(environment: [rank: "2", size: "3"]), "\(rank)")
      #expect(launcher.rank == 2 && launcher.size == 3 && !launcher.handsOver)
      #expect(NotJoinedError(launcher: launcher, joined: 1).description.contains("\(size)=3"))
    }
    let pmix = try #require(Launcher(environment: ["PMIX_RANK": "2"]))
    #expect(pmix.kind == .pmix && pmix.rank == 2 && pmix.handsOver)
  }

  /// Of a container of a job of PyTorch's, say, which has the number of all but is none of them.
  @Test func aSizeWithoutARankThatFitsIsNoLauncher() {
    for environment in [
      ["WORLD_SIZE": "4"], ["PMI_SIZE": "4"], ["SLURM_STEP_NUM_TASKS": "4"], ["RANK": "0"],
      ["WORLD_SIZE": "4", "RANK": "4"], ["WORLD_SIZE": "4", "RANK": "-1"],
      ["WORLD_SIZE": "0", "RANK": "0"], ["WORLD_SIZE": "many", "RANK": "0"],
      ["WORLD_SIZE": "4", "RANK": ""],
    ] { #expect(Launcher(environment: environment) == nil, "\(environment)") }
  }

  /// Another MPI starts a daemon a node by Slurm, and torchrun its workers: the number of processes is
  /// theirs.
  @Test func ofTwoThatOneStartedTheOtherTheLargerCounts() throws {
    let node = ["SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"]
    for (inner, rank) in [(Self.hydra, 0), (Self.torchrun, 3)] {
      let launcher = try #require(Launcher(environment: merged(node, inner)))
      #expect(launcher.size == 4 && launcher.rank == rank && !launcher.isHopeless)
    }
    // Scripts derive PyTorch's variables from Slurm's: what joins the ranks is Slurm's.
    let same = merged(Self.step, ["PMIX_RANK": "4", "RANK": "4", "WORLD_SIZE": "6"])
    #expect(Launcher(environment: same)?.kind == .srun(hasPMIx: true))
  }

  @Test func whoIsMeantToWorkAloneSaysSo() {
    for around in [Self.step, Self.hydra, Self.torchrun] {
      #expect(Launcher(environment: merged(around, ["RFM_ALONE": "1"])) == nil)
      #expect(Launcher(environment: merged(around, ["RFM_ALONE": "0"])) != nil)
      #expect(Launcher(environment: merged(around, ["RFM_ALONE": ""])) != nil)
    }
  }

  @Test func fewerRanksThanProcessesAreRefusedAndMoreAreNot() throws {
    let launcher = try #require(Launcher(environment: Self.hydra))
    for ranks in [4, 5] { try launcher.check(joined: ranks) }
    let alone = #expect(throws: NotJoinedError.self) { try launcher.check(joined: 1) }
    let words = try #require(alone).description
    for part in [
      "4 processes were started by the mpiexec of another MPI (PMI_SIZE=4)", "none of them",
      "Start them with the mpirun of Open MPI v", "RFM_ALONE=1",
    ] { #expect(words.contains(part), "\(words)") }
    let some = #expect(throws: NotJoinedError.self) { try launcher.check(joined: 2) }
    #expect(try #require(some).description.contains("MPI joins only 2 of them"))
    let step = try #require(Launcher(environment: Self.step))
    #expect(NotJoinedError(launcher: step, joined: 1).description.contains("srun --mpi=pmix"))
  }
}
