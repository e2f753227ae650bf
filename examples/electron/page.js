// The page: a prompt in, steps and an image out.

const form = document.querySelector('form');
const progress = document.querySelector('progress');
const output = document.querySelector('output');
const image = document.querySelector('img');

window.diffusion.onStep((step, total) => {
  progress.value = step / total;
});

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  output.value = '';
  try {
    const png = await window.diffusion.generate(new FormData(form).get('prompt'));
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([png], { type: 'image/png' }));
  } catch (error) {
    output.value = error.message;
  }
});

document.querySelector('button[type=button]').addEventListener('click', () => window.diffusion.cancel());
