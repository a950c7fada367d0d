import Checkpoints
import Dispatch
import FaceShards
import ForgeryMining
import Foundation
import Images
import MessagePassing
import Networks
import Tensors

/// Applies a detector to images, a batch at a time.
struct ImageExplainer {
  private let loaded: LoadedDetector
  private let settings: ExplanationJob.Settings
  private let prototypes: ComparedPrototypes?
  private let pictures: ExplanationPictures
  private let attention: AttentionProgram
  private let inference: InferenceProgram
  private let images: AlignedMemory
  private let gradients: AlignedMemory
  private let activations: AlignedMemory
  private let logits: AlignedMemory

  init(
    _ loaded: LoadedDetector, _ settings: ExplanationJob.Settings,
    _ prototypes: ComparedPrototypes?, workers: WorkerPool
  ) {
    self.loaded = loaded
    self.settings = settings
    self.prototypes = prototypes
    let crop = loaded.crop
    pictures = ExplanationPictures(
      crop: crop, normalisation: loaded.normalisation, seed: settings.seed)
    let group = DetectorGroups.size(images: settings.batch, alone: true)
    attention = AttentionProgram(
      loaded.detector, crop: crop, groupSize: group, workers: workers)
    inference = InferenceProgram(
      loaded.detector, crop: crop, groupSize: group, workers: workers)
    attention.refresh()
    inference.refresh()
    let pixels = crop * crop
    images = AlignedMemory(size: settings.batch * pixels * 3 * 4)
    gradients = AlignedMemory(size: settings.batch * pixels * 3 * 4)
    activations = AlignedMemory(
      size: settings.batch * 2 * inference.featureHeight * inference.featureWidth * 4)
    logits = AlignedMemory(size: settings.batch * 2 * 4)
  }

  /// Says of every image of a batch what the detector sees in it, or why it is none.
  ///
  /// - Parameter folder: where pictures are drawn; nil for none.
  /// - Throws: `ExplanationJob.NotFinite`, `ImageError` if a picture can't be written.
  func explain(
    _ items: [ImageStream.Item], drawingInto folder: ExplanationFolder?
  ) throws -> [ExplanationLine] {
    var lines: [ExplanationLine] = []
    var faces: [(item: ImageStream.Item, image: RGBImage)] = []
    for item in items {
      switch item.image {
      case .success(let image): faces.append((item, image))
      case .failure(let error):
        lines.append(
          ExplanationLine(index: item.index, .skipped(error.description, kind: error.kind)))
      }
    }
    guard !faces.isEmpty else { return lines }
    run(faces.map(\.image), isDrawn: folder != nil)
    let results = Results(count: faces.count)
    // Each iteration reads the batch's buffers and writes files of its own.
    nonisolated(unsafe) let explainer = self
    let batch = faces
    let bases = faces.map { folder?.base(of: $0.item.index) }
    let workers = min(max(1, settings.threads), faces.count)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for place in stride(from: worker, to: batch.count, by: workers) {
        let (item, image) = batch[place]
        results.store(
          Result {
            ExplanationLine(
              index: item.index,
              .explained(
                try explainer.describe(
                  image, path: item.path, index: item.index, place: place, base: bases[place])))
          }, place)
      }
    }
    for result in results.all { lines.append(try result.get()) }
    return lines
  }

  /// Fills the buffers: logits and gradients, and activations if the images are drawn.
  private func run(_ faces: [RGBImage], isDrawn: Bool) {
    let crop = loaded.crop
    let size = crop * crop * 3
    let normalisation = loaded.normalisation
    for (place, face) in faces.enumerated() {
      face.pixels.withUnsafeBufferPointer {
        normalisation.cut(
          CropGeometry(top: 0, left: 0, side: crop), of: $0, width: crop,
          into: UnsafeMutableBufferPointer(start: images.floats() + place * size, count: size))
      }
    }
    Array(faces.indices).withUnsafeBufferPointer {
      attention.run(
        images: images.floats(), selected: $0, logits: logits.floats(),
        gradients: gradients.floats())
    }
    if isDrawn, loaded.detector.hasActivationMaps {
      inference.run(
        images: images.floats(), count: faces.count, logits: logits.floats(),
        activationMaps: activations.floats())
    }
  }

  /// What the buffers say of the image at `place` of the batch.
  private func describe(
    _ image: RGBImage, path: String, index: Int, place: Int, base: String?
  ) throws -> Explanation {
    RankStatus.progress()
    let crop = loaded.crop
    let size = crop * crop * 3
    let map = forgeryAttentionMap(
      inputGradient: Array(
        UnsafeBufferPointer(start: gradients.floats() + place * size, count: size)),
      height: crop, width: crop)
    let (real, fake) = (logits.floats()[2 * place], logits.floats()[2 * place + 1])
    guard real.isFinite, fake.isFinite, map.allSatisfy(\.isFinite) else {
      throw ExplanationJob.NotFinite(image: path, weights: loaded.source)
    }
    var explanation = Explanation(
      path: path, logitReal: real, logitFake: fake, threshold: settings.threshold)
    guard prototypes != nil || base != nil else { return explanation }
    let normalised = normalisedAttention(map, height: crop, width: crop)
    explanation.attributed = prototypes?.attributed(normalised)
    if let base {
      explanation.pictures = try pictures.write(
        image, index: index, attention: (map, normalised), activation: activation(at: place),
        base: base)
    }
    return explanation
  }

  /// CAM of fake less CAM of real; nil where the detector has none.
  private func activation(at place: Int) -> (map: [Float], width: Int, height: Int)? {
    guard loaded.detector.hasActivationMaps else { return nil }
    let (height, width) = (inference.featureHeight, inference.featureWidth)
    let maps = activations.floats() + place * 2 * height * width
    return ((0..<height * width).map { maps[height * width + $0] - maps[$0] }, width, height)
  }
}

/// Results of iterations that run at once.
private final class Results: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Result<ExplanationLine, any Error>?]

  init(count: Int) { values = Array(repeating: nil, count: count) }

  func store(_ value: Result<ExplanationLine, any Error>, _ place: Int) {
    lock.withLock { values[place] = value }
  }

  var all: [Result<ExplanationLine, any Error>] { lock.withLock { values.map { $0! } } }
}
