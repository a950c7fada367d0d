import Checkpoints
import Foundations

extension ExplanationJob {
  /// None of the inputs is an image.
  public struct NothingToExplain: ReportableError {
    public let detail: String
    public var description: String { "no image to explain: \(detail)" }
    public var exitStatus: ExitStatus { .badData }

    init(detail: String) { self.detail = detail }

    /// Of a few files it says what is wrong with each, of many how many of each kind there are too.
    init(_ summary: Summary) {
      let skipped = summary.skipped
      if skipped.count == 1 {
        detail = skipped[0]
      } else {
        let rest = skipped.count - 3
        let what = summary.lacksFaces ? "shows a face" : "is an image that can be read"
        detail =
          "none of \(skipped.count) files \(what) (\(summary.kindsInWords)): "
          + skipped.prefix(3).joined(separator: "; ") + (rest > 0 ? "; and \(rest) more" : "")
      }
    }
  }

  /// A picture would take the place of an image that is to be explained.
  public struct PictureInTheWay: ReportableError {
    let picture: String
    let image: String
    public var description: String {
      "\(picture): a picture of this name would replace \(image), which is to be explained; choose "
        + "another folder with --output"
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// The detector makes no number of an image.
  public struct NotFinite: ReportableError {
    let image: String
    let weights: String
    public var description: String {
      "\(image): what the detector says of it is not a finite number, so its weights (\(weights)) are "
        + "damaged or too large; rfm inspect --verify looks at them"
    }
    public var exitStatus: ExitStatus { .badData }
  }
}

extension ExplanationJob {
  /// Error rates were asked for of videos, and they are known of single images.
  struct RatesOfVideos: ReportableError {
    let path: String

    var description: String {
      "\(path): error rates are known of single images, not of videos: leave videos out, or give "
        + "--threshold in place of --false-alarm-rate and --miss-rate"
    }
    var exitStatus: ExitStatus { .usage }
  }
}

extension ExplanationJob.Settings {
  /// Calls images fake and real where the detector's calibration says that these error rates are kept.
  ///
  /// - Throws: `Calibration.UnknownRate`.
  public mutating func keep(
    falseAlarmRate: Double, missRate: Double, by loaded: LoadedDetector
  ) throws {
    let calibration = loaded.calibration ?? Calibration(temperature: 1)
    let thresholds = try calibration.thresholds(falseAlarmRate: falseAlarmRate, missRate: missRate)
    (realThreshold, threshold) = (thresholds.real, thresholds.fake)
  }
}
