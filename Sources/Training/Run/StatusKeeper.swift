import Checkpoints
import Configuration
import Foundation
import Foundations

/// Tells outsiders what a training is at: `status.json` in its folder and, where the configuration names one,
/// a file for Prometheus. Rank 0's.
final class StatusKeeper {
  private let folder: RunFolder
  private let name: String
  private let metricsFile: String?
  private let warn: (String) -> Void
  private(set) var status: RunStatus
  private var lastWritten: ContinuousClock.Instant?
  private var hasWarned = false

  /// Between two reports of a training that does nothing else.
  static let interval = Duration.seconds(10)

  /// Writes for the first time.
  ///
  /// - Parameter warn: told once that later reports can't be written: no reason to end a training.
  /// - Throws: `FileError`.
  init(
    _ folder: RunFolder, _ run: Configuration.Run, step: Int, totalSteps: Int, epoch: Int,
    ranks: Int, hosts: Int, warn: @escaping (String) -> Void
  ) throws {
    self.folder = folder
    name = run.name
    metricsFile = run.metricsFile
    self.warn = warn
    let now = Date().timeIntervalSince1970
    status = RunStatus(
      state: .training, updated: now, started: now, startedAtStep: step, step: step,
      totalSteps: totalSteps, epoch: epoch, ranks: ranks, hosts: hosts)
    try write()
  }

  /// Whether the ranks should be asked for their phases, and a report written.
  var isDue: Bool {
    status.slowestRank == nil
      || lastWritten.map { ContinuousClock.now - $0 >= Self.interval } ?? true
  }

  /// Changes the status and writes it.
  func report(_ change: (inout RunStatus) -> Void) {
    change(&status)
    do {
      try write()
    } catch {
      if !hasWarned { warn("warning: what the training is at can't be told: \(error)") }
      hasWarned = true
    }
  }

  private func write() throws {
    status.updated = Date().timeIntervalSince1970
    lastWritten = .now
    try folder.write(status)
    guard let metricsFile else { return }
    let store = folder.checkpoints
    let checkpoint = store.latestStep.flatMap { step in
      RunOverview.writtenAt(store, step: step).map { (step, $0) }
    }
    try DurableFile.replace(
      metricsFile,
      with: MonitoringText.of(
        status, run: name, checkpoint: checkpoint, diskFree: RunOverview.diskFree(folder.path)))
  }
}
