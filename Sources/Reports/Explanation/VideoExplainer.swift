import Dispatch
import FaceShards
import Faces
import Foundations
import Images
import MessagePassing
import Synchronization

/// Applies a detector to the frames of a video as they are decoded. Memory holds as many whole frames as
/// there are threads, a batch of faces, and what is drawn of the few frames that are shown.
struct VideoExplainer {
  /// Frames of a video that are drawn: those most likely fake.
  static let drawnFrames = 4

  let explainer: ImageExplainer
  let reader: PictureReader
  let frames: Int
  let batch: Int
  let threads: Int
  let threshold: Double
  let isDrawn: Bool

  /// What was found in a video, before anything of it is drawn.
  struct Finding {
    var explanation: FileExplanation
    /// The frames to draw.
    var drawn: [Candidate]
  }

  /// A frame that may be drawn.
  struct Candidate {
    /// Place among the explanation's faces.
    var place: Int
    var probability: Double
    var image: RGBImage
    var scene: RGBImage?
  }

  /// Why a video gives nothing.
  struct Unusable: Error {
    var detail: String
    var kind: String
  }

  /// - Throws: ``Unusable``, `ExplanationJob.NotFinite`.
  func explain(_ file: BytePath, path: String) throws -> Finding {
    do {
      let pass = Pass(self, path: path)
      let video = try VideoReader(path: file, threads: threads)
      let reading = try video.read(.evenly(frames)) { frame in
        RankStatus.progress()
        // A pass begins anew.
        if frame.ordinal == 0 { pass.reset() }
        try pass.add(frame)
      }
      try pass.finish()
      guard !pass.faces.isEmpty else {
        throw Unusable(
          detail: "no face found in any of \(pass.seen.count) frames", kind: "no face")
      }
      var verdict = VideoExplanation(
        path: path, frames: pass.seen, threshold: threshold, notes: reading.notes)
      verdict.framesAreCalibrated = pass.faces.contains { $0.temperature != nil }
      return Finding(
        explanation: FileExplanation(faces: pass.faces, video: verdict), drawn: pass.best)
    } catch let error as VideoError {
      throw Unusable(detail: error.detail, kind: error.kind)
    } catch let error as FaceError {
      throw Unusable(detail: error.detail, kind: "no faces looked for")
    }
  }

  /// What has been found so far.
  private final class Pass {
    private let job: VideoExplainer
    private let path: String
    private var track = FaceTrack()
    /// Frames that are to be looked at, at once.
    private var waiting: [VideoFrame] = []
    /// Faces that the detector has not seen, and their places among the frames.
    private var pending: [(part: PictureReader.Part, scene: RGBImage?, place: Int)] = []
    private(set) var seen: [VideoExplanation.Frame] = []
    private(set) var faces: [Explanation] = []
    private(set) var best: [Candidate] = []

    init(_ job: VideoExplainer, path: String) {
      self.job = job
      self.path = path
    }

    func reset() {
      track = FaceTrack()
      waiting = []
      pending = []
      seen = []
      faces = []
      best = []
    }

    func add(_ frame: VideoFrame) throws {
      waiting.append(frame)
      if waiting.count >= job.threads { try look() }
    }

    func finish() throws {
      try look()
      try run()
    }

    /// Finds faces in the frames that wait, all at once, and follows one of them from each to the next.
    private func look() throws {
      let frames = waiting
      waiting = []
      let found = Mutex<[Int: Result<PictureReader.Frame, any Error>]>([:])
      let reader = job.reader
      DispatchQueue.concurrentPerform(iterations: frames.count) { place in
        let result = Result { try reader.frame(frames[place]) }
        found.withLock { $0[place] = result }
        RankStatus.progress()
      }
      for place in frames.indices {
        let frame = try found.withLock { $0[place]! }.get()
        let part = try reader.part(of: frame, track: &track)
        seen.append(
          VideoExplanation.Frame(index: frames[place].index, time: frames[place].time))
        guard let part else { continue }
        pending.append((part, frame.scene, seen.count - 1))
        if pending.count == job.batch { try run() }
      }
    }

    /// Lets the detector see the faces that wait.
    private func run() throws {
      guard !pending.isEmpty else { return }
      let said = try job.explainer.explain(
        pending.map { ImageExplainer.Subject(image: $0.part.image, path: path, face: $0.part.face) }
      )
      for (explanation, waiting) in zip(said, pending) {
        seen[waiting.place].probability = explanation.probability
        faces.append(explanation)
        guard job.isDrawn else { continue }
        best.append(
          Candidate(
            place: faces.count - 1, probability: explanation.probability,
            image: waiting.part.image, scene: waiting.scene))
        // The first of equals.
        best.sort { ($1.probability, $0.place) < ($0.probability, $1.place) }
        best = Array(best.prefix(VideoExplainer.drawnFrames))
      }
      pending = []
    }
  }
}
