import Foundation
import Foundations

/// What a training is at in the text format of Prometheus (version 0.0.4), for collectors that read files,
/// such as node exporter's.
public struct MonitoringText {
  private var text = ""
  /// Of every sample: which run it is of.
  private let label: String

  /// - Parameters:
  ///   - checkpoint: step and time (seconds since 1970) of the newest, if there is one.
  ///   - diskFree: bytes that are left where the run's folder is.
  public static func of(
    _ status: RunStatus, run: String, checkpoint: (step: Int, time: Double)?, diskFree: Int?
  ) -> String {
    var text = MonitoringText(run: run)
    text.add(status)
    if let checkpoint {
      text.gauge("rfm_checkpoint_step", "Updates in the newest checkpoint.", checkpoint.step)
      text.gauge(
        "rfm_checkpoint_timestamp_seconds", "When the newest checkpoint was written.",
        checkpoint.time)
    }
    if let diskFree {
      text.gauge("rfm_disk_free_bytes", "Bytes left where the run's folder is.", diskFree)
    }
    return text.text
  }

  private init(run: String) { label = "run=\"\(Self.escaped(run))\"" }

  private mutating func add(_ status: RunStatus) {
    gauge(
      "rfm_training_running", "1 while the training is at work, 0 when it has ended.",
      status.state.isAtWork ? 1 : 0)
    family("rfm_training_state", "gauge", "1 for what the training is at, or how it ended.")
    sample("rfm_training_state", [("state", status.state.rawValue)], 1)
    gauge("rfm_training_step", "Updates made.", status.step)
    gauge("rfm_training_steps", "Updates that there will be.", status.totalSteps)
    gauge("rfm_training_epoch", "The pass over the training data, from 0.", status.epoch)
    gauge("rfm_training_loss", "Loss of the last step.", status.loss ?? .nan)
    if let rate = status.learningRate {
      gauge("rfm_training_learning_rate", "Learning rate of the last step.", rate)
    }
    if let rate = status.imagesPerSecond {
      gauge("rfm_training_images_per_second", "Images a second in the last steps.", rate)
    }
    if let seconds = status.secondsLeft {
      gauge("rfm_training_left_seconds", "Seconds to the last step, at the pace so far.", seconds)
    }
    family("rfm_training_skipped_steps_total", "counter", "Steps that came to no update.")
    sample("rfm_training_skipped_steps_total", [], Double(status.skippedSteps))
    gauge(
      "rfm_training_start_timestamp_seconds", "When the process began to train.", status.started)
    gauge(
      "rfm_training_update_timestamp_seconds", "When these figures were written.", status.updated)
    gauge("rfm_training_ranks", "Ranks of the job.", status.ranks)
    gauge("rfm_training_hosts", "Hosts of the job.", status.hosts)
    if let auc = status.bestValidationAUC {
      gauge("rfm_best_validation_auc_ratio", "Largest validation AUC of a checkpoint.", auc)
    }
    if let step = status.bestStep { gauge("rfm_best_step", "Its updates.", step) }
    guard let slowest = status.slowestRank else { return }
    let name = "rfm_slowest_rank_phase_seconds"
    family(name, "gauge", "Mean seconds a step of the rank that had most to do, by phase.")
    for (phase, seconds) in slowest.secondsPerPhase.sorted(by: { $0.key < $1.key }) {
      sample(
        name, [("rank", "\(slowest.rank)"), ("host", slowest.host), ("phase", phase)], seconds)
    }
  }

  // MARK: The format

  private mutating func gauge(_ name: String, _ help: String, _ value: Int) {
    gauge(name, help, Double(value))
  }

  private mutating func gauge(_ name: String, _ help: String, _ value: Double) {
    family(name, "gauge", help)
    sample(name, [], value)
  }

  private mutating func family(_ name: String, _ type: String, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
  }

  private mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
    let all = [label] + labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }
    text += "\(name){\(all.joined(separator: ","))} \(Self.number(value))\n"
  }

  /// In labels `\`, `"` and the end of a line are written with a `\` before.
  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
  }
}
