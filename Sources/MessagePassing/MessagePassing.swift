import COpenMPI
import Glibc

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
    _ = launcherRank  // read before Open MPI adds to the environment
    // Without mpirun Open MPI would start a daemon beside the process, only ever used to spawn
    // further processes, which we never do.
    if !isLaunched { setenv("OMPI_MCA_ess_singleton_isolated", "1", 0) }
    // Open MPI reduces in place along a binomial tree unless told otherwise: all the data, up and
    // down, 2 log₂ R times. Rabenseifner's algorithm moves them twice, however many ranks there are.
    setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0)
    var granted: Int32 = 0
    try MPIError.check(rfm_mpi_initialise(&granted), "MPI_Init_thread", rank: nil)
    return ThreadSupport(rawValue: granted) ?? .single
  }

  /// Whether MPI has been initialised and not finalised.
  public static var isActive: Bool { rfm_mpi_is_active() != 0 }

  /// Whether a launcher such as `mpirun` or `srun` started this process as a rank of a job.
  public static var isLaunched: Bool { launcherRank != nil }

  /// This process's rank according to its launcher, known before MPI is initialised.
  public static let launcherRank: Int? = launcherNumber(["OMPI_COMM_WORLD_RANK", "PMIX_RANK"])

  /// The number of ranks according to the launcher, known before MPI is initialised; 1 without.
  public static var launcherSize: Int { launcherNumber(["OMPI_COMM_WORLD_SIZE"]) ?? 1 }

  /// The launcher's count of this job's ranks on this host, known before MPI is initialised.
  public static var launcherNodeSize: Int { launcherNumber(["OMPI_COMM_WORLD_LOCAL_SIZE"]) ?? 1 }

  private static func launcherNumber(_ names: [String]) -> Int? {
    for name in names {
      if let text = getenv(name), let number = Int(String(cString: text)) { return number }
    }
    return nil
  }

  /// One line that names the MPI library and its version.
  public static var libraryVersion: String {
    string(capacity: 512) { rfm_mpi_library_version($0, $1) }
  }

  /// Finalises MPI: every rank must call it, and no request may be running. Calling `exit`, or
  /// returning from `main`, with status 0 or 75 does the same; with any other status it ends all
  /// ranks, since they would wait for this one.
  public static func finalize() throws(MPIError) {
    try MPIError.check(rfm_mpi_finalise(), "MPI_Finalize", rank: launcherRank)
  }

  /// Ends every rank of the job at once with `status`; the launcher passes the status on.
  public static func abort(status: Int32) -> Never {
    fflush(nil)
    if isLaunched { rfm_mpi_abort(status) }
    exit(status)
  }

  /// Runs a rank's work. An error that escapes it is printed to standard error as one line,
  /// `rfm: rank R: …` (without the rank if there is only one), and ends all ranks at once with the
  /// status that `exitStatus` gives it: no rank is left waiting for one that has failed.
  ///
  /// Often every rank fails for the same reason, say a missing file. One line is enough then, so
  /// ranks other than 0 leave rank 0 a moment to speak and to end the job before they do.
  ///
  /// - Parameter shown: makes the description fit for a terminal; it may quote what a file says.
  public static func runRank(
    name: String = "rfm", exitStatus: (any Error) -> Int32 = { _ in 70 },
    shown: (String) -> String = { $0 }, _ work: () throws -> Void
  ) {
    do {
      try work()
    } catch {
      let rank = launcherRank ?? 0
      let isAlone = launcherSize == 1
      if rank != 0 { usleep(2_000_000) }
      let place = isAlone ? "" : "rank \(rank): "
      // One write, so that the lines of several ranks do not mix.
      let line = "\(name): \(place)\(shown(oneLine(error)))\n"
      _ = line.utf8CString.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress!, $0.count - 1) }
      abort(status: exitStatus(error))
    }
  }

  private static func oneLine(_ error: any Error) -> String {
    String(describing: error).split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}
