import Foundation
import Tensors

/// `upsampled`: the whole picture as a generator's decoder would put it out, with the last doubling of
/// resolution done by a strided transposed convolution.
///
/// Traces, all over the picture: the kernel overlaps unevenly (Odena, Dumoulin and Olah,
/// "Deconvolution and checkerboard artifacts", Distill 2016), so even and odd rows and columns get
/// different gains: a faint grid of period two, and of period four from the layer before. And most of
/// the fine grain was made at half resolution, so it comes in blobs two pixels wide. Edges are
/// crisp and the grain as strong as a camera's: the energy of detail gives nothing away.
func upsampleFace(_ subject: ForgeryCase, _ g: inout CounterGenerator) -> Forgery {
  let picture = subject.captured
  let w = picture.width
  let h = picture.height
  // Gains of the phases: the product of a row's and a column's.
  let fine = g.value(0.009, 0.016) * (g.chance(0.5) ? 1 : -1)
  let coarse = g.value(0.009, 0.016) * (g.chance(0.5) ? 1 : -1)
  let detail = g.value(0.4, 0.6)
  let phaseX = g.below(4)
  let phaseY = g.below(4)
  func gain(_ k: Int) -> Float {
    (k & 1 == 0 ? fine : -fine) + (k & 2 == 0 ? coarse : -coarse)
  }

  var half = picture.resampled(width: (w + 1) / 2, height: (h + 1) / 2)
  let smooth = half.resampled(width: w, height: h)
  // Generators draw crisp edges; without this the picture would be softer than a camera's.
  let crisp = g.value(0.4, 0.8)
  let softer = smooth.blurred(sigma: 1)
  // Blobs have less energy at the highest frequencies than the camera's grain of the same strength:
  // they need more of it to look as grainy.
  let missing = subject.camera.noise * (1 - detail) * g.value(1.3, 1.8)
  var grain = GrainGenerator(seed: g.next())
  for i in 0..<half.pixels.count {
    let n = grain.next() * missing
    half.pixels[i] = SIMD4(n, n, n, 0) + grain.colour() * (0.4 * missing)
  }
  var image = picture
  for y in 0..<h {
    let gy = gain(y + phaseY)
    for x in 0..<w {
      let i = y * w + x
      let gx = gain(x + phaseX)
      let residual = (picture.pixels[i] - smooth.pixels[i]) * detail
      let edge = (smooth.pixels[i] - softer.pixels[i]) * crisp
      let blob = half.pixels[
        min((y + phaseY) / 2, half.height - 1) * half.width
          + min((x + phaseX) / 2, half.width - 1)]
      image.pixels[i] = (smooth.pixels[i] + edge + residual + blob) * (1 + gx) * (1 + gy)
    }
  }
  return Forgery(image: image, weights: [Float](repeating: 1, count: w * h))
}
