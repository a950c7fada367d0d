import Foundation
import Tensors

/// `upsampled`: the whole picture as a generator's decoder would put it out, with the last doubling of
/// resolution done by a strided transposed convolution.
///
/// Trace, all over the picture: the kernel overlaps unevenly (Odena, Dumoulin and Olah,
/// "Deconvolution and checkerboard artifacts", Distill 2016), so even and odd rows and columns get
/// different gains: a faint grid of period two, and of period four from the layer before, in brightness
/// and in the strength of detail. The energy of fine detail is kept close to the camera's.
func upsampleFace(_ subject: ForgeryCase, _ g: inout CounterGenerator) -> Forgery {
  let picture = subject.captured
  let w = picture.width
  let h = picture.height
  let half = picture.resampled(width: w / 2, height: h / 2)
  let smooth = half.resampled(width: w, height: h)
  // Gains of the phases: the product of a row's and a column's.
  let fine = g.value(0.008, 0.014) * (g.chance(0.5) ? 1 : -1)
  let coarse = g.value(0.009, 0.016) * (g.chance(0.5) ? 1 : -1)
  let detail = g.value(0.85, 1.05)
  let unevenDetail = g.value(0.35, 0.6)
  let phaseX = g.below(4)
  let phaseY = g.below(4)
  func gain(_ k: Int) -> Float {
    (k & 1 == 0 ? fine : -fine) + (k & 2 == 0 ? coarse : -coarse)
  }
  var image = picture
  for y in 0..<h {
    let gy = gain(y + phaseY)
    let evenY: Float = (y + phaseY) & 1 == 0 ? 1 : -1
    for x in 0..<w {
      let i = y * w + x
      let gx = gain(x + phaseX)
      let evenX: Float = (x + phaseX) & 1 == 0 ? 1 : -1
      let residual = picture.pixels[i] - smooth.pixels[i]
      let strength = detail * (1 + unevenDetail * 0.5 * (evenX + evenY))
      image.pixels[i] = (smooth.pixels[i] + residual * strength) * (1 + gx) * (1 + gy)
    }
  }
  return Forgery(image: image, weights: [Float](repeating: 1, count: w * h))
}
