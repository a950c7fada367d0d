import COpenMPI
import Foundations
import Glibc
import Synchronization

/// The life of MPI in this process: start, end, and the end that takes every rank along.
public enum MessagePassing {
  /// What MPI allows threads to do, lowest first.
  public enum ThreadSupport: Int32, Comparable, Sendable, CustomStringConvertible {
    case single, funneled, serialized, multiple

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    public var description: String {
      switch self {
      case .single: "MPI_THREAD_SINGLE"
      case .funneled: "MPI_THREAD_FUNNELED"
      case .serialized: "MPI_THREAD_SERIALIZED"
      case .multiple: "MPI_THREAD_MULTIPLE"
      }
    }
  }

  /// Initialises MPI at the first call, asking for MPI_THREAD_MULTIPLE, and says what was granted.
  public static func start() throws(MPIError) -> ThreadSupport {
    try started.get()
  }

  private static let started: Result<ThreadSupport, MPIError> = Result { () throws(MPIError) in
    _ = launcher  // read before Open MPI adds to the environment
    // Without mpirun Open MPI would start a daemon beside the process, only ever used to spawn
    // further processes, which we never do.
    if launcher?.handsOver != true {
      setenv("OMPI_MCA_ess_singleton_isolated", "1", 0)
      // It would take the step of a process that works alone for a mistake, and end it.
      if getenv("PMIX_RANK") == nil {
        unsetenv("SLURM_STEPID")
        unsetenv("SLURM_STEP_ID")
      }
    }
    // Open MPI reduces in place along a binomial tree unless told otherwise: all the data, up and
    // down, 2 log₂ R times. Rabenseifner's algorithm moves them twice, however many ranks there are.
    setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0)
    var granted: Int32 = 0
    try MPIError.check(rfm_mpi_initialise(&granted), "MPI_Init_thread", rank: nil)
    var (rank, size): (Int32, Int32) = (0, 1)
    try MPIError.check(rfm_mpi_rank(rfm_mpi_world(), &rank), "MPI_Comm_rank", rank: nil)
    try MPIError.check(rfm_mpi_size(rfm_mpi_world(), &size), "MPI_Comm_size", rank: Int(rank))
    worldRank.store(Int(rank), ordering: .relaxed)
    worldSize.store(Int(size), ordering: .releasing)
    return ThreadSupport(rawValue: granted) ?? .single
  }

  /// Whether MPI has been initialised and not finalised.
  public static var isActive: Bool { rfm_mpi_is_active() != 0 }

  /// What MPI says of this process, once it has begun; until then the size is 0.
  private static let worldRank = Atomic<Int>(0)
  private static let worldSize = Atomic<Int>(0)

  /// What started this process, as far as its environment tells; nil where nothing says that it is a
  /// rank of a job.
  public static let launcher = Launcher.ofThisProcess()

  /// Whether a launcher such as `mpirun` or `srun` started this process.
  public static var isLaunched: Bool { launcher != nil }

  /// This process's rank according to its launcher, known before MPI is initialised.
  public static var launcherRank: Int? { launcher?.rank }

  /// The number of ranks according to the launcher, known before MPI is initialised; 1 without.
  public static var launcherSize: Int { launcher?.size ?? 1 }

  /// The launcher's count of this job's ranks on this host, known before MPI is initialised.
  public static var launcherNodeSize: Int { launcher?.nodeSize ?? 1 }

  /// This process's rank, at any time: MPI's word once it has begun, the launcher's before; 0 without.
  public static var rank: Int {
    worldSize.load(ordering: .acquiring) > 0
      ? worldRank.load(ordering: .relaxed) : launcherRank ?? 0
  }

  /// The number of ranks, likewise.
  public static var size: Int {
    let size = worldSize.load(ordering: .acquiring)
    return size > 0 ? size : launcherSize
  }

  /// Makes sure that this process does not think it is alone although it was started with others.
  /// Call it before any work: where a launcher is none of MPI's, MPI begins here.
  ///
  /// - Throws: ``NotJoinedError``, `MPIError`.
  public static func checkLaunch() throws {
    guard let launcher, launcher.size > 1, !launcher.handsOver else { return }
    if launcher.isHopeless { try launcher.check(joined: 1) }
    _ = try start()
    try checkJoined()
  }

  /// The same when MPI has begun, whatever the launcher.
  static func checkJoined() throws(NotJoinedError) { try launcher?.check(joined: size) }

  /// One line that names the MPI library and its version.
  public static var libraryVersion: String {
    string(capacity: 512) { rfm_mpi_library_version($0, $1) }
  }

  /// Finalises MPI: every rank must call it, and no request may be running. Calling `exit`, or
  /// returning from `main`, with status 0 or 75 does the same; with any other status it ends all
  /// ranks, since they would wait for this one.
  public static func finalize() throws(MPIError) {
    try MPIError.check(rfm_mpi_finalise(), "MPI_Finalize", rank: rank)
  }

  /// Ends every rank of the job at once with `status`; the launcher passes the status on.
  public static func abort(status: Int32) -> Never {
    fflush(nil)
    if launcher?.handsOver == true || size > 1 { rfm_mpi_abort(status) }
    exit(status)
  }

  /// Runs a rank's work. An error that escapes it is printed to standard error as one line,
  /// `rfm: rank R: …` (without the rank if there is only one), and ends all ranks at once with the
  /// status that `exitStatus` gives it: no rank is left waiting for one that has failed.
  ///
  /// Often every rank fails for the same reason, say a missing file. One line is enough then, so
  /// ranks other than 0 leave rank 0 a moment to speak and to end the job before they do; those that
  /// only know of another's ``RankFailure`` leave it to that one. Of processes
  /// that were not joined to a job the launcher's first speaks alone, and each ends itself.
  ///
  /// - Parameter shown: makes the description fit for a terminal; it may quote what a file says.
  public static func runRank(
    name: String = "rfm", exitStatus: (any Error) -> Int32 = { _ in 70 },
    shown: (String) -> String = { $0 }, _ work: () throws -> Void
  ) {
    do {
      try work()
    } catch let error as NotJoinedError {
      // Some launchers end all as soon as one fails: the one that speaks should be the first. With PMIx
      // alone it can't know that it is one of several.
      if error.launcher.rank == 0 || error.launcher.kind == .pmix {
        writeToStandardError("\(name): \(shown(oneLine(error)))\n")
      } else {
        usleep(1_500_000)
      }
      abort(status: exitStatus(error))
    } catch {
      let rank = rank
      // What happened on another rank is for that one to say.
      let pause = error is RankFailure ? 4.0 : rank != 0 ? 2 : 0
      // A signal does not cut it short: mpirun sends one where another has ended the job already.
      let end = monotonicSeconds + pause
      while monotonicSeconds < end { usleep(20_000) }
      let place = size == 1 ? "" : "rank \(rank): "
      // One write, so that the lines of several ranks do not mix.
      writeToStandardError("\(name): \(place)\(shown(oneLine(error)))\n")
      abort(status: exitStatus(error))
    }
  }

  private static func oneLine(_ error: any Error) -> String {
    String(describing: error).split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}
