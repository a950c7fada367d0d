import Foundations

/// What a detector says about a video: of each frame that was looked at the probability of the face that
/// is followed, and their mean.
struct VideoExplanation: Sendable, Equatable {
  struct Frame: Sendable, Equatable {
    /// Index among the frames that decode.
    var index: Int
    /// Seconds since the first frame, where known.
    var time: Double?
    /// Of fake; nil where the frame shows no face, or not the one that is followed.
    var probability: Double?
  }

  /// As an explanation's.
  var path: String
  /// Ascending; at least one has a face.
  var frames: [Frame]
  /// Videos at least this likely to be fake are called fake.
  var threshold: Double
  /// Whether its frames' probabilities are calibrated; their mean is not, for frames resemble one another.
  var framesAreCalibrated = false
  /// What the user should know of the video, without its name.
  var notes: [String] = []

  var framesWithFace: Int { frames.count { $0.probability != nil } }

  /// The mean of the probabilities of the frames with a face, each of which counts the same: how
  /// DeepfakeBench and the works before it score a video.
  var probability: Double {
    frames.compactMap(\.probability).reduce(0, +) / Double(max(1, framesWithFace))
  }
  var isFake: Bool { probability >= threshold }

  /// As a line of output.
  var json: JSON {
    .object([
      .init("path", .text(path)),
      .init("kind", .text("video")),
      .init("probability_fake", .number(probability)),
      .init("label", .text(isFake ? "fake" : "real")),
      .init("threshold", .number(threshold)),
      .init("frames_calibrated", .boolean(framesAreCalibrated)),
      .init("frames", .integer(frames.count)),
      .init("frames_with_face", .integer(framesWithFace)),
      .init("frame_indices", .array(frames.map { .integer($0.index) })),
      .init("frame_times", .array(frames.map { .optional($0.time) })),
      .init("frame_probabilities", .array(frames.map { .optional($0.probability) })),
      .init("notes", .array(notes.map { .text($0) })),
    ])
  }

  /// What a line of output says; nil if it is none of a video.
  init?(_ json: JSON) {
    guard json["kind"]?.textValue == "video", let path = json["path"]?.textValue,
      let threshold = json["threshold"]?.doubleValue,
      let indices = json["frame_indices"]?.arrayValue,
      let times = json["frame_times"]?.arrayValue,
      let probabilities = json["frame_probabilities"]?.arrayValue,
      times.count == indices.count, probabilities.count == indices.count
    else { return nil }
    let frames = indices.indices.compactMap { place in
      indices[place].integerValue.map {
        Frame(
          index: $0, time: times[place].doubleValue, probability: probabilities[place].doubleValue)
      }
    }
    guard frames.count == indices.count else { return nil }
    self.init(
      path: path, frames: frames, threshold: threshold,
      notes: (json["notes"]?.arrayValue ?? []).compactMap(\.textValue))
    framesAreCalibrated = json["frames_calibrated"]?.booleanValue ?? false
  }

  init(path: String, frames: [Frame], threshold: Double, notes: [String] = []) {
    self.path = path
    self.frames = frames
    self.threshold = threshold
    self.notes = notes
  }
}
