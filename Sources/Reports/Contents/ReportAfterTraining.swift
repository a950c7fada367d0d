import Configuration
import Foundations
import MessagePassing
import Tensors
import Training

extension ReportJob {
  /// Writes the report of a training that has just ended, if `run.report` says so. The training is
  /// done whatever becomes of it: what goes wrong is only told. Collective.
  ///
  /// - Parameter say: told where the page is, or why there is none; only rank 0's is used.
  /// - Returns: false if it was asked to stop before the page was written: when the training is
  ///   continued, which has nothing else to do, the page is.
  public static func finish(
    _ configuration: Configuration, communicator: Communicator, say: (String) -> Void
  ) -> Bool {
    guard configuration.run.report else { return true }
    var settings = Settings(run: configuration.run.folder)
    settings.batch = configuration.evaluation.batch
    func tell(_ line: String) {
      if communicator.isRoot { say(line) }
    }
    do {
      let threads = try ThreadShare.threads(configuration.training.threads, communicator)
      let path = try run(
        settings, communicator: communicator, workers: WorkerPool(threads: threads),
        isStopped: { Trainer.isAskedToStop }, warn: { tell("warning: \($0)") })
      tell("report: \(path)")
    } catch let error as any ReportableError where error.exitStatus == .stopped {
      tell(
        "the training is done; stopped on request before its report was written, which --resume "
          + "does, or rfm report \(configuration.run.folder)")
      return false
    } catch {
      tell(
        "warning: the training is done, but its report was not written: \(error); "
          + "rfm report \(configuration.run.folder) tries again")
    }
    return true
  }
}
