import Foundations
import Glibc

/// What the environment of a process says of the launcher that started it, before MPI has been asked.
///
/// Several launchers may have left their words: a shell of a Slurm step starts `mpirun`, a script that
/// is run by `torchrun` starts another. ``init(environment:)`` decides between them.
public struct Launcher: Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    /// Open MPI's own, which always hands its processes to MPI.
    case mpirun
    /// Slurm's, which does so with PMIx alone.
    case srun(hasPMIx: Bool)
    /// One that speaks PMIx, whichever it is.
    case pmix
    /// Another MPI's, by name.
    case otherMPI(String)
    /// One that has nothing to do with MPI, by name.
    case other(String)
  }

  public let kind: Kind
  /// This process's number among those that were started together, from 0.
  public let rank: Int
  /// How many were started together.
  public let size: Int
  /// How many of them run on this host; nil where the launcher does not say.
  public let nodeSize: Int?
  /// The variable that says how many there are, with its value; for messages.
  let evidence: String

  init(kind: Kind, rank: Int, size: Int, nodeSize: Int? = nil, evidence: String = "") {
    self.kind = kind
    self.rank = rank
    self.size = size
    self.nodeSize = nodeSize
    self.evidence = evidence
  }

  /// The variable by which a user says that this process is meant to work alone, whatever started it.
  public static let aloneVariable = "RFM_ALONE"

  /// Decides by environment variables what started a process; nil where nothing says that it is one of
  /// several, be it one.
  ///
  /// Open MPI's `mpirun` is believed before all others, since it comes last: it is called within Slurm
  /// jobs and other programs. Of the others the one that started most, since one may start the other, as
  /// Slurm starts the daemons of another MPI.
  ///
  /// Slurm is asked for the *step*: a batch script has the number of its job's tasks in `SLURM_NTASKS`,
  /// but runs once.
  public init?(environment: [String: String]) {
    func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) } }
    func place(_ kind: Kind, rank: String, size: String, nodeSize: Int? = nil) -> Launcher? {
      guard let place = number(rank), let count = number(size), count > 0,
        (0..<count).contains(place)
      else { return nil }
      return Launcher(
        kind: kind, rank: place, size: count, nodeSize: nodeSize, evidence: "\(size)=\(count)")
    }
    if let mpirun = place(
      .mpirun, rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE",
      nodeSize: number("OMPI_COMM_WORLD_LOCAL_SIZE"))
    {
      self = mpirun
      return
    }
    if let alone = environment[Self.aloneVariable], !["", "0"].contains(alone) { return nil }

    var found: [Launcher] = []
    // A job that was submitted from within a step still has that step's variables; the number of tasks
    // is its own then. In a step both are the same.
    if let srun = place(
      .srun(hasPMIx: number("PMIX_RANK") != nil), rank: "SLURM_PROCID",
      size: "SLURM_STEP_NUM_TASKS",
      nodeSize: Self.tasks(
        onNode: number("SLURM_NODEID"), of: environment["SLURM_STEP_TASKS_PER_NODE"])),
      number("SLURM_NTASKS") ?? srun.size == srun.size
    {
      found.append(srun)
    }
    let mpiexec = "the mpiexec of another MPI"
    let others: [Launcher?] = [
      place(
        .otherMPI(environment["PALS_RANKID"] == nil ? mpiexec : "the mpiexec of Cray PALS"),
        rank: "PMI_RANK", size: "PMI_SIZE",
        nodeSize: number("PMI_LOCAL_SIZE") ?? number("MPI_LOCALNRANKS")),
      place(
        .otherMPI("the mpirun of MVAPICH"), rank: "MV2_COMM_WORLD_RANK",
        size: "MV2_COMM_WORLD_SIZE",
        nodeSize: number("MV2_COMM_WORLD_LOCAL_SIZE")),
      place(.otherMPI(mpiexec), rank: "MPI_LOCALRANKID", size: "MPI_LOCALNRANKS"),
      place(.otherMPI("jsrun"), rank: "JSM_NAMESPACE_RANK", size: "JSM_NAMESPACE_SIZE"),
      place(.other("flux"), rank: "FLUX_TASK_RANK", size: "FLUX_JOB_SIZE"),
      place(
        .other("horovodrun"), rank: "HOROVOD_RANK", size: "HOROVOD_SIZE",
        nodeSize: number("HOROVOD_LOCAL_SIZE")),
      // The size alone may be said to all containers of a job. One has its own number too.
      place(
        .other("torchrun, or what sets its variables,"), rank: "RANK", size: "WORLD_SIZE",
        nodeSize: number("LOCAL_WORLD_SIZE")),
    ]
    for other in others.compactMap(\.self) where other.size > (found.first?.size ?? 0) {
      found = [other]
    }
    guard let rank = number("PMIX_RANK"), rank >= 0, found.first?.isSlurm != true else {
      guard let first = found.first else { return nil }
      self = first
      return
    }
    // PMIx itself says to no variable how many there are.
    self.init(
      kind: .pmix, rank: rank, size: max(found.first?.size ?? 1, rank + 1),
      nodeSize: found.first?.nodeSize, evidence: found.first?.evidence ?? "PMIX_RANK=\(rank)")
  }

  private var isSlurm: Bool {
    if case .srun = kind { true } else { false }
  }

  /// The tasks of the n-th node in Slurm's short form, "2(x3),1" for 2, 2, 2, 1; nil where it isn't.
  static func tasks(onNode node: Int?, of text: String?) -> Int? {
    guard let node, let text, node >= 0 else { return nil }
    var first = 0
    for part in text.split(separator: ",") {
      guard let match = part.wholeMatch(of: /([0-9]+)(?:\(x([0-9]+)\))?/), let tasks = Int(match.1)
      else { return nil }
      guard let nodes = match.2.map({ Int($0) }) ?? 1 else { return nil }
      if node - first < nodes { return tasks }
      first += nodes
    }
    return nil
  }

  /// The launcher of this process. Read it before MPI begins: Open MPI adds variables of its own.
  static func ofThisProcess() -> Launcher? {
    var variables: [String: String] = [:]
    var next = environ
    while let text = next.pointee {
      let setting = String(cString: text)
      if let sign = setting.firstIndex(of: "=") {
        variables[String(setting[..<sign])] = String(setting[setting.index(after: sign)...])
      }
      next += 1
    }
    return Launcher(environment: variables)
  }

  // MARK: Joined or not

  /// Whether MPI certainly does not know of the others, so that it need not be asked. It would end the
  /// process: Open MPI takes a Slurm step without PMIx for a mistake.
  var isHopeless: Bool { kind == .srun(hasPMIx: false) && size > 1 }

  /// Whether MPI begins as part of what this launcher started, as far as can be told before.
  var handsOver: Bool {
    switch kind {
    case .mpirun, .pmix, .srun(hasPMIx: true): true
    default: false
    }
  }

  /// Compares with the number of ranks that MPI knows of.
  ///
  /// More than the launcher says are no fault: several steps may have been joined.
  ///
  /// - Throws: ``NotJoinedError``.
  func check(joined ranks: Int) throws(NotJoinedError) {
    if ranks < size { throw NotJoinedError(launcher: self, joined: ranks) }
  }
}

/// A launcher started several processes, and MPI did not join them to ranks of one job: each would do
/// all of the work.
public struct NotJoinedError: ReportableError, Equatable {
  public let launcher: Launcher
  /// The ranks that MPI knows of, this one among them.
  public let joined: Int

  public var description: String {
    let (name, remedy): (String, String)
    let mpi =
      MessagePassing.libraryVersion.split(separator: ",").first.map(String.init) ?? "Open MPI"
    switch launcher.kind {
    case .mpirun:
      name = "mpirun"
      remedy = "the mpirun that belongs to the MPI of this rfm, \(mpi)"
    case .srun(let hasPMIx):
      name = "srun"
      remedy =
        hasPMIx
        ? "mpirun within the job (launch/slurm.sbatch does): Slurm's PMIx and that of \(mpi) do not go "
          + "together"
        : "srun --mpi=pmix where Slurm has it (srun --mpi=list), or mpirun within the job "
          + "(launch/slurm.sbatch does)"
    case .pmix:
      name = "a launcher with PMIx"
      remedy = "the mpirun of \(mpi)"
    case .otherMPI(let launcher):
      name = launcher
      remedy = "the mpirun of \(mpi)"
    case .other(let launcher):
      name = launcher
      remedy = "mpirun -np \(self.launcher.size) rfm … (or launch/local, launch/cluster)"
    }
    let ranks = joined == 1 ? "none of them" : "only \(joined) of them"
    return
      "\(launcher.size) processes were started by \(name) (\(launcher.evidence)), but MPI joins "
      + "\(ranks), so that each would do all of the work. Start them with \(remedy). If this one is "
      + "meant to work alone, say so with \(Launcher.aloneVariable)=1"
  }

  public var exitStatus: ExitStatus { .usage }
}
