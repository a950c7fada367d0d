import Foundation
import Testing

/// A command run as a job of its own, alone or under `mpirun`, with a time limit, and the promise
/// that none of its processes outlives it.
///
/// Every process of the job inherits an environment variable that marks it. That is how the ranks
/// are found (`mpirun` gives each a process group of its own), and how leftovers are.
///
///     let outcome = try Job.run("rfm", ["train", "--config", path], ranks: 2)
///     #expect(outcome.status == 0, "\(outcome)")
final class Job {
  /// How a job ended.
  struct Outcome: CustomStringConvertible {
    /// The exit status; 128 + n if signal n ended the process.
    var status: Int32
    var standardOutput: String
    var standardError: String
    /// The time limit had to end it.
    var timedOut: Bool
    /// Commands of processes that were still there a moment after the job's end (and were killed).
    var leftovers: [String]
    var seconds: Double

    /// Ended by itself with status 0 and left nothing behind.
    var succeeded: Bool { status == 0 && !timedOut && leftovers.isEmpty }

    var description: String {
      """
      status \(status)\(timedOut ? " after the time limit" : "") in \(seconds) s\
      \(leftovers.isEmpty ? "" : ", left: \(leftovers)")
      --- standard output
      \(standardOutput)
      --- standard error
      \(standardError)
      """
    }
  }

  struct CannotStart: Error, CustomStringConvertible {
    var description: String
  }

  /// Runs a command to its end. See `init` for the parameters.
  static func run(
    _ executable: String, _ arguments: [String] = [], ranks: Int? = nil,
    environment: [String: String] = [:], directory: String? = nil, timeLimit: Double = 120,
    mpirunOptions: [String] = []
  ) throws -> Outcome {
    try Job(
      executable, arguments, ranks: ranks, environment: environment, directory: directory,
      timeLimit: timeLimit, mpirunOptions: mpirunOptions
    ).wait()
  }

  let pid: pid_t
  private let mark: String
  private let scratch: URL
  private let start = Date()
  private let deadline: Date
  private var outcome: Outcome?

  /// Starts a command.
  ///
  /// - Parameters:
  ///   - executable: a product of this package by its name, or a path.
  ///   - ranks: runs it under `mpirun` with so many ranks; nil runs it directly.
  ///   - environment: added to this process's.
  ///   - directory: the working directory; this process's if nil.
  ///   - timeLimit: seconds after which `wait` ends the job.
  init(
    _ executable: String, _ arguments: [String] = [], ranks: Int? = nil,
    environment: [String: String] = [:], directory: String? = nil, timeLimit: Double = 120,
    mpirunOptions: [String] = []
  ) throws {
    let path = executable.contains("/") ? executable : try Job.product(executable)
    var command = [path] + arguments
    if let ranks {
      command =
        ["/usr/bin/env", "mpirun", "-np", "\(ranks)", "--oversubscribe", "--bind-to", "none"]
        // As launch/local has it: Open MPI 5 complains of other interfaces, beside what rfm says.
        + ["--mca", "btl_tcp_if_include", "lo"] + mpirunOptions + command
    }
    if let directory { command = ["/usr/bin/env", "-C", directory] + command }

    mark = "RFM_TEST_JOB=" + UUID().uuidString
    scratch = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rfm-job-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    deadline = start.addingTimeInterval(timeLimit)

    // The environment this process was started with, not its present one: a test that has
    // initialised MPI here has had variables added that would mislead mpirun.
    var variables = [String: String]()
    for setting in Job.environment(of: getpid()) {
      let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
    }
    variables["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    variables.merge(environment) { $1 }
    let settings = variables.map { "\($0)=\($1)" } + [mark]

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for (descriptor, name) in [(Int32(1), "out"), (2, "err")] {
      posix_spawn_file_actions_addopen(
        &actions, descriptor, scratch.appendingPathComponent(name).path,
        O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    }

    // A group of its own, so that a signal to it does not reach the tests; signals as in a shell.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for signal in [SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGUSR1] { sigaddset(&signals, signal) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var pid: pid_t = 0
    let code = Job.withCStrings(command) { argv in
      Job.withCStrings(settings) { envp in
        posix_spawn(&pid, command[0], &actions, &attributes, argv, envp)
      }
    }
    self.pid = pid
    if code != 0 {
      throw CannotStart(
        description: "cannot start \(command[0]): \(String(cString: strerror(code)))")
    }
  }

  deinit {
    if outcome == nil { _ = endAll() }
    try? FileManager.default.removeItem(at: scratch)
  }

  /// What the job has written so far.
  var standardOutput: String { text("out") }
  var standardError: String { text("err") }

  /// The process of each rank that is running now, by rank.
  func ranks() -> [Int: pid_t] {
    let environments = processes().map { ($0, Job.environment(of: $0)) }
    func numbered(by name: String) -> [Int: pid_t] {
      var ranks = [Int: pid_t]()
      for (process, settings) in environments {
        let setting = settings.first { $0.hasPrefix(name + "=") }
        if let rank = setting.flatMap({ Int($0.dropFirst(name.count + 1)) }) {
          ranks[rank] = process
        }
      }
      return ranks
    }
    // Tasks of srun have the latter alone, daemons of mpirun may have it too.
    let ranks = numbered(by: "OMPI_COMM_WORLD_RANK")
    return ranks.isEmpty ? numbered(by: "PMIX_RANK") : ranks
  }

  /// The files with this text in their paths that a rank has open now.
  func openFiles(rank: Int, _ text: String) -> Set<String> {
    guard let process = ranks()[rank] else { return [] }
    let folder = "/proc/\(process)/fd/"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let paths = names.compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: folder + $0)
    }
    return Set(paths.filter { $0.contains(text) })
  }

  /// The value that an environment variable has in some process of the job.
  func environment(_ name: String) -> String? {
    let settings = processes().lazy.flatMap { Job.environment(of: $0) }
    return settings.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
  }

  /// Sends a signal to `mpirun` (or to the command itself without ranks).
  func signal(_ number: Int32) { kill(pid, number) }

  /// Whether the started process still runs.
  var isRunning: Bool {
    var status: siginfo_t = .init()
    return waitid(P_PID, id_t(pid), &status, WEXITED | WNOHANG | WNOWAIT) == 0
      && status._sifields._sigchld.si_pid == 0
  }

  /// Waits until `condition` holds, looking every few milliseconds; false if the job ended or its
  /// time was up before.
  func wait(until condition: (Job) -> Bool) -> Bool {
    while Date() < deadline {
      if condition(self) { return true }
      if !isRunning { return condition(self) }
      usleep(5_000)
    }
    return false
  }

  /// Waits for the end, or brings it about when the time is up, and makes sure that nothing is left.
  func wait() -> Outcome {
    if let outcome { return outcome }
    var timedOut = false
    while isRunning {
      if Date() > deadline {
        timedOut = true
        kill(-pid, SIGTERM)
        let grace = Date().addingTimeInterval(5)
        while isRunning && Date() < grace { usleep(20_000) }
        kill(-pid, SIGKILL)
        break
      }
      usleep(5_000)
    }
    let seconds = Date().timeIntervalSince(start)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) == -1 && errno == EINTR {}
    let ended = status & 0x7f
    let result = Outcome(
      status: ended == 0 ? (status >> 8) & 0xff : 128 + ended,
      standardOutput: standardOutput, standardError: standardError, timedOut: timedOut,
      leftovers: endAll(), seconds: seconds)
    outcome = result
    return result
  }

  /// Kills what is left of the job, after a moment in which it may end by itself.
  private func endAll() -> [String] {
    let grace = Date().addingTimeInterval(outcome == nil && isChildGone ? 3 : 0)
    var left = processes()
    while !left.isEmpty && Date() < grace {
      usleep(20_000)
      left = processes()
    }
    let names = left.map { process in
      let bytes = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
      return "\(process): "
        + bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        .joined(separator: " ")
    }
    for process in left { kill(process, SIGKILL) }
    if !isChildGone {
      var status: Int32 = 0
      waitpid(pid, &status, 0)
    }
    return names
  }

  private var isChildGone: Bool {
    var status: siginfo_t = .init()
    return waitid(P_PID, id_t(pid), &status, WEXITED | WNOHANG | WNOWAIT) == -1
  }

  /// The processes that carry this job's mark, without those that only wait to be collected.
  private func processes() -> [pid_t] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { pid_t($0) }.filter { Job.environment(of: $0).contains(mark) }
  }

  private static func environment(of process: pid_t) -> [String] {
    guard let bytes = FileManager.default.contents(atPath: "/proc/\(process)/environ") else {
      return []
    }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  private func text(_ name: String) -> String {
    let bytes = FileManager.default.contents(atPath: scratch.appendingPathComponent(name).path)
    return String(decoding: bytes ?? Data(), as: UTF8.self)
  }

  private static func withCStrings<R>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
  ) -> R {
    let copies = strings.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return body(copies)
  }

  /// The path of an executable of this package: it lies beside the test bundle.
  static func product(_ name: String) throws -> String {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    var folders = [bundle ?? CommandLine.arguments[0]].map {
      ($0 as NSString).deletingLastPathComponent
    }
    if let folder = ProcessInfo.processInfo.environment["RFM_PRODUCTS"] {
      folders.insert(folder, at: 0)
    }
    for folder in folders {
      let path = folder + "/" + name
      if FileManager.default.isExecutableFile(atPath: path) { return path }
    }
    throw CannotStart(
      description: "\(name) is not built: not in \(folders.joined(separator: ", "))")
  }
}

extension Job.Outcome {
  /// The lines of standard error that the program itself wrote, without mpirun's remarks.
  func lines(from program: String) -> [String] {
    standardError.split(separator: "\n").map(String.init).filter { $0.hasPrefix(program + ": ") }
  }
}
